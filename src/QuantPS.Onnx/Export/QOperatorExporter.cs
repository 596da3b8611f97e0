using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Export;

/// <summary>Writes a quantized graph as ONNX with operators on integers: QLinearConv and QLinearMatMul of ONNX itself, QGemm, QLinearAdd
/// and the like of
/// ONNX Runtime (domain com.microsoft), and data movement on 8-bit tensors.</summary>
/// <remarks>Values are dequantized only where a float node or an output of the graph needs them. An operator that has no integer form
/// stands between
/// DequantizeLinear and QuantizeLinear.</remarks>
public sealed class QOperatorExporter : QuantizedExporter
{
    private readonly Dictionary<string, string> integers = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Value, string Form), string> converted = [], dequantized = [];
    // Values that exist as float under their own name.
    private readonly HashSet<string> reals = new(StringComparer.Ordinal);

    private QOperatorExporter(QuantizedGraph graph) : base(graph)
    {
    }

    /// <exception cref="Engine.Errors.QuantException">UnsupportedOperator: the model's operator set cannot be lifted to 13.</exception>
    public static ExportResult Export(QuantizedGraph graph) => new QOperatorExporter(graph).Run();

    protected override void AddSource(string value) => reals.Add(value);

    protected override void AddFloat(NodeProto copy)
    {
        foreach (string value in GraphIndex.InputsOf(copy).Distinct())
            MakeReal(value);
        Written.Add(copy);
    }

    protected override void AddQuantized(QuantizedNode node)
    {
        NodeContext context = Graph.Plan.ContextOf(node.Planned);
        foreach (int i in Enumerable.Range(0, node.Planned.Node.Input.Count).Except(node.Planned.Operator!.ActivationInputs(node.Planned.Node)))
            MakeReal(node.Planned.Node.Input[i]);
        // The integer operators take integer biases only.
        bool hasFloatBias = node.Planned.Operator.WeightInputs(context)
            .Any(w => w.IsBias && GraphIndex.Input(node.Planned.Node, w.Index).Length > 0 && !node.Weights.ContainsKey(w.Index));
        bool ownAxes = node.Planned.Operator.WeightInputs(context).Where(w => !w.IsBias)
            .All(w => !node.Weights[w.Index].QParams.IsPerChannel || node.Weights[w.Index].Axis == w.Axis);
        bool bytes = ownAxes && !hasFloatBias && !node.Planned.HasFloatOutput
            && node.Planned.Inputs.All(v => Graph.InputQParams(node.Planned, v).DType.IsEightBit())
            && node.Planned.Outputs.All(v => Graph.QParamsOf(v)!.DType.IsEightBit())
            && node.Weights.All(w => w.Value.DType.IsEightBit() || w.Key == NodeWeights.BiasIndex);
        if (!bytes || !node.Planned.Operator.WriteIntegers(new IntegerWriter(this, Graph, node, context)))
            AddFloatForm(node);
    }

    protected override void Produce(string value, string real, string integers) => this.integers[value] = integers;

    protected override string Dequantized(PlannedNode node, string value)
    {
        QParams seen = Graph.InputQParams(node, value), own = Graph.QParamsOf(value)!;
        if (!reals.Contains(value) && seen == own)
            return MakeReal(value);
        var key = (value, seen.ToString());
        if (!dequantized.TryGetValue(key, out string? name))
        {
            string bytes = Integers(node, value);
            dequantized[key] = name = FreeName(value + "_dequantized");
            Written.Add(DequantizeNode(value, bytes, name, seen == own ? null : seen));
        }
        return name;
    }

    protected override void Finish()
    {
        foreach (ValueInfoProto output in Graph.Float.Graph.Outputs)
            MakeReal(output.Name);
    }

    internal void Made(string value, string name) => integers[value] = name;

    /// <summary>A value's integers as a node takes them.</summary>
    internal string Integers(PlannedNode node, string value)
    {
        QParams seen = Graph.InputQParams(node, value);
        if (!integers.TryGetValue(value, out string? name))
        {
            integers[value] = name = FreeName(value + "_quantized");
            Written.Add(QuantizeNode(value, value, name));
        }
        if (seen == Graph.QParamsOf(value))
            return name;
        var key = (value, seen.ToString());
        if (!converted.TryGetValue(key, out string? second))
        {
            // Converted from what the first integers stand for, not from the float that they came from.
            string real = FreeName(value + "_own");
            Written.Add(DequantizeNode(value, name, real));
            converted[key] = second = FreeName(value + "_converted_quantized");
            Written.Add(QuantizeNode(value, real, second, seen));
        }
        return second;
    }

    private string MakeReal(string value)
    {
        if (value.Length > 0 && integers.TryGetValue(value, out string? name) && reals.Add(value))
            Written.Add(DequantizeNode(value, name, value));
        return value;
    }
}
