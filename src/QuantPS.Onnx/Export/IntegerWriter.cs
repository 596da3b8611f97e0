using System.Runtime.InteropServices;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Export;

/// <summary>A quantized weight in a file.</summary>
/// <param name="Names">Integers, scale, zero point.</param>
/// <param name="HasOneZeroPoint">All channels have the same zero point.</param>
public sealed record WrittenWeight(string[] Names, bool HasOneZeroPoint);

/// <summary>Where an operator writes its form on integers: names of its inputs' integers and parameters, and of its output's.</summary>
public sealed class IntegerWriter
{
    /// <summary>The domain of ONNX Runtime's own operators.</summary>
    public const string Microsoft = "com.microsoft";

    private readonly QOperatorExporter exporter;
    private readonly QuantizedGraph graph;
    private readonly QuantizedNode node;
    private readonly Dictionary<int, WrittenWeight> weights = [];

    internal IntegerWriter(QOperatorExporter exporter, QuantizedGraph graph, QuantizedNode node, NodeContext context)
    {
        this.exporter = exporter;
        this.graph = graph;
        this.node = node;
        Context = context;
        Node = exporter.CopyOf(node.Planned.Node);
    }

    /// <summary>The node in the float graph.</summary>
    public NodeContext Context { get; }

    /// <summary>The node in the file, lifted to the file's operator set.</summary>
    public NodeProto Node { get; }

    /// <summary>The file's operator set.</summary>
    public int Opset => exporter.Opset;

    /// <summary>Scale and zero point of the output.</summary>
    public string[] OutputParameters => Pair(exporter.ParametersOf(node.Planned.Output));

    /// <summary>Integers, scale and zero point of an activation.</summary>
    public string[] Input(int index)
    {
        string value = Context.Node.Input[index];
        if (graph.Constants.ContainsKey(value))
            return [exporter.Constant(value).Integers, .. Pair(exporter.ParametersOf(value))];
        QParams seen = graph.InputQParams(node.Planned, value);
        return [exporter.Integers(node.Planned, value), .. Pair(exporter.ParametersOf(value, seen == graph.QParamsOf(value) ? null : seen))];
    }

    /// <summary>A weight.</summary>
    public WrittenWeight Weight(int index)
    {
        if (weights.TryGetValue(index, out WrittenWeight? written))
            return written;
        QuantizedTensor weight = node.Weights[index];
        string name = Context.Node.Input[index];
        // One zero point may stand for all channels.
        bool one = weight.QParams.ZeroPoints.ToArray().Distinct().Count() == 1;
        string integers = exporter.Initializer(name + "_quantized", weight);
        return weights[index] = new WrittenWeight([integers, .. Pair(exporter.WeightParameters(name, weight.QParams))], one);
    }

    /// <summary>The name of the int32 bias; none where there is no bias.</summary>
    public string[] Bias(int index) => node.Weights.TryGetValue(index, out QuantizedTensor? bias)
        ? [exporter.Initializer(Context.Node.Input[index] + "_quantized", bias)] : [];

    /// <summary>The bias that an Add became, as float [outputs], with the very values of the int32 one.</summary>
    public string RealBias()
    {
        QuantizedTensor bias = node.Weights[NodeWeights.BiasIndex];
        return exporter.Initializer(Context.Name + "_bias", DataType.Float, MemoryMarshal.AsBytes(bias.Dequantize().Span), bias.Dims);
    }

    /// <summary>An operator that gives the output's integers. A fused activation becomes a Clip behind it where the integers' range does
    /// not say
    /// it.</summary>
    /// <returns>True.</returns>
    public bool Write(string opType, string domain, string[] inputs, params AttributeProto[] attributes)
    {
        string value = node.Planned.Output, integers = exporter.FreeName(value + "_quantized");
        Add(opType, domain, inputs, integers, attributes);
        exporter.Made(value, exporter.Limited(node.Planned, value, integers));
        return true;
    }

    /// <summary>An operator that gives the output as float, which is then quantized.</summary>
    /// <returns>True.</returns>
    public bool WriteFloat(string opType, string domain, string[] inputs, params AttributeProto[] attributes)
    {
        string value = node.Planned.Output, real = exporter.FreeName(value + "_float");
        Add(opType, domain, inputs, real, attributes);
        return Write("QuantizeLinear", OnnxModel.StandardDomain, [real, .. OutputParameters]);
    }

    /// <summary>An operator that takes integers and gives the node's own float outputs.</summary>
    /// <returns>True.</returns>
    public bool WriteNode(string opType, string domain, string[] inputs, params AttributeProto[] attributes)
    {
        NodeProto made = Nodes.Create(opType, exporter.FreeName(Context.Name + "_quant"), inputs, Context.Node.Output, attributes);
        made.Domain = domain;
        exporter.Write(made);
        return true;
    }

    /// <summary>The node itself, on integers.</summary>
    /// <param name="replaced">Inputs that are something else then.</param>
    /// <returns>True.</returns>
    public bool WriteSame(params (int Index, string Name)[] replaced)
    {
        Node.Input[0] = Input(0)[0];
        foreach ((int index, string name) in replaced)
        {
            while (Node.Input.Count <= index)
                Node.Input.Add("");
            Node.Input[index] = name;
        }
        exporter.Write(Node);
        foreach (int k in node.Planned.Operator!.QuantizedOutputs(Context.Node))
        {
            string value = Context.Node.Output[k];
            Node.Output[k] = exporter.FreeName(value + "_quantized");
            exporter.Made(value, Node.Output[k]);
        }
        return true;
    }

    /// <summary>Limits on the integers.</summary>
    /// <returns>True.</returns>
    public bool WriteClip(ActivationRange range)
    {
        string value = node.Planned.Output;
        exporter.Made(value, exporter.AddClip(range, graph.QParamsOf(value)!, value, Input(0)[0], exporter.FreeName(value + "_quantized")));
        return true;
    }

    private static string[] Pair((string Scale, string ZeroPoint) names) => [names.Scale, names.ZeroPoint];

    private void Add(string opType, string domain, string[] inputs, string output, AttributeProto[] attributes)
    {
        NodeProto made = Nodes.Create(opType, exporter.FreeName(Context.Name + "_quant"), inputs, [output], attributes);
        made.Domain = domain;
        exporter.Write(made);
    }
}
