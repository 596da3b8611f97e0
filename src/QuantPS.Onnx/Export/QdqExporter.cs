using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Export;

/// <summary>Writes a quantized graph as ONNX with QuantizeLinear and DequantizeLinear pairs, the form that runtimes fuse into integer
/// operators.</summary>
/// <remarks>A fused Relu or Clip vanishes where the integers' range says the same; otherwise it limits the integers, as a Clip between
/// QuantizeLinear and
/// DequantizeLinear.</remarks>
public sealed class QdqExporter : QuantizedExporter
{
    // Where a quantized consumer takes a value from, and the float that a pair of its own would start at.
    private readonly Dictionary<string, string> dequantized = new(StringComparer.Ordinal), reals = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Value, string Form), string> converted = [];
    private readonly HashSet<string> usedPairs = new(StringComparer.Ordinal);

    private QdqExporter(QuantizedGraph graph) : base(graph)
    {
    }

    /// <exception cref="Engine.Errors.QuantException">UnsupportedOperator: the model's operator set cannot be lifted to 13.</exception>
    public static ExportResult Export(QuantizedGraph graph) => new QdqExporter(graph).Run();

    /// <summary>Its quantized consumers take a float value through a pair, all others as it is.</summary>
    protected override void AddSource(string value)
    {
        if (value.Length == 0 || QuantizedProducts.Contains(value) || Graph.QParamsOf(value) is null)
            return;
        reals[value] = value;
        dequantized[value] = AddPair(value, value);
    }

    protected override void AddFloat(NodeProto copy) => Written.Add(copy);

    protected override void AddQuantized(QuantizedNode node) => AddFloatForm(node);

    protected override void Produce(string value, string real, string integers)
    {
        Written.Add(DequantizeNode(value, integers, value));
        reals[value] = real;
        dequantized[value] = value;
        if (Graph.Float.Graph.IsOutput(value) || Graph.Nodes.Any(n => !n.IsQuantized && n.Planned.Node.Input.Contains(value)))
            usedPairs.Add(value);
    }

    protected override string Dequantized(PlannedNode node, string value)
    {
        string name = dequantized[value];
        QParams seen = Graph.InputQParams(node, value);
        if (seen == Graph.QParamsOf(value))
            return usedPairs.Add(value) || !Graph.Options.DedicatedPairs ? name : AddPair(value, reals[value], node);
        var key = (value, seen.ToString());
        if (!converted.TryGetValue(key, out string? second))
        {
            string integers = FreeName(value + "_converted_quantized");
            converted[key] = second = FreeName(value + "_converted");
            Written.Add(QuantizeNode(value, name, integers, seen));
            Written.Add(DequantizeNode(value, integers, second, seen));
        }
        return second;
    }

    private string AddPair(string value, string real, PlannedNode? consumer = null)
    {
        string integers = FreeName(value + "_quantized"), name = FreeName(value + "_dequantized");
        Written.Add(QuantizeNode(value, real, integers));
        // A pair of its own also has the limits of the activation that the value went through.
        if (consumer is not null && Graph.Nodes.FirstOrDefault(n => n.IsQuantized && n.Planned.Output == value) is QuantizedNode producer)
            integers = Limited(producer.Planned, value, integers);
        Written.Add(DequantizeNode(value, integers, name));
        return name;
    }
}
