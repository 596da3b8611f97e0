using System.Runtime.InteropServices;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Export;

/// <summary>Writes a quantized graph as ONNX with QuantizeLinear and DequantizeLinear pairs, the form that runtimes fuse into integer
/// operators.</summary>
/// <remarks>Weights are int8 initializers, biases int32 ones (scale = input scale x weight scale in float32, zero point 0). A quantized value keeps its
/// name behind its DequantizeLinear. A fused Relu or Clip vanishes where the integers' range says the same; otherwise it limits the integers, as a Clip
/// between QuantizeLinear and DequantizeLinear: with such a Clip before QuantizeLinear, ONNX Runtime 1.31.1 runs the Conv in float.
/// The int32 bias rounds and QuantizeLinear divides, so results may differ by one step from PyTorch's engines.</remarks>
public sealed class QdqExporter
{
    /// <summary>First operator set with scales along an axis.</summary>
    private const int OpsetVersion = 13;

    private readonly QuantizedGraph graph;
    private readonly OnnxModel model;
    private readonly GraphProto proto;
    private readonly List<NodeProto> nodes = [];
    private readonly List<string> notes = [];
    private readonly HashSet<string> taken, quantizedProducts;
    private readonly Dictionary<string, (string Scale, string ZeroPoint)> parameters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> dequantizedInputs = new(StringComparer.Ordinal);

    private QdqExporter(QuantizedGraph graph)
    {
        this.graph = graph;
        model = graph.Float.Clone();
        proto = model.Proto.Graph;
        taken = [.. proto.Initializer.Select(t => t.Name), .. proto.Input.Select(v => v.Name), .. proto.Node.SelectMany(n => n.Output),
            .. proto.Node.SelectMany(GraphIndex.InputsOf)];
        quantizedProducts = [.. graph.Nodes.Where(n => n.IsQuantized).Select(n => n.Planned.Output)];
    }

    /// <exception cref="Engine.Errors.QuantException">UnsupportedOperator: the model's operator set cannot be lifted to 13.</exception>
    public static ExportResult Export(QuantizedGraph graph) => new QdqExporter(graph).Run();

    private ExportResult Run()
    {
        // Pairs each node of the float model with its copy, before anything moves.
        Dictionary<NodeProto, NodeProto> copies = new(ReferenceEqualityComparer.Instance);
        foreach ((NodeProto original, NodeProto copy) in graph.Float.Proto.Graph.Node.Zip(proto.Node))
            copies[original] = copy;
        OpsetRaiser.Raise(model, OpsetVersion, graph.Plan.Types);
        foreach (ValueInfoProto input in graph.Float.Graph.Inputs)
            QuantizeInput(input.Name);
        Dictionary<NodeProto, QuantizedNode> planned = new(ReferenceEqualityComparer.Instance);
        HashSet<NodeProto> fused = new(ReferenceEqualityComparer.Instance);
        foreach (QuantizedNode node in graph.Nodes.Where(n => n.IsQuantized))
        {
            planned[node.Planned.Node] = node;
            if (node.Planned.FusedActivation is NodeProto activation)
                fused.Add(activation);
        }
        foreach (NodeProto original in graph.Float.Graph.Nodes)
        {
            NodeProto copy = copies[original];
            if (fused.Contains(original))
                continue;
            if (planned.TryGetValue(original, out QuantizedNode? node))
            {
                AddQuantized(node, copy);
                continue;
            }
            nodes.Add(copy);
            foreach (string output in copy.Output)
                QuantizeInput(output);
        }
        proto.Node.Clear();
        proto.Node.AddRange(nodes);
        RemoveUnused();
        model.Invalidate();
        _ = model.Graph;
        return new ExportResult(model, notes);
    }

    /// <summary>A value that comes in as float: its quantized consumers take it through a pair, all others as it is.</summary>
    private void QuantizeInput(string value)
    {
        if (value.Length == 0 || quantizedProducts.Contains(value) || graph.QParamsOf(value) is not QParams qparams)
            return;
        string integers = FreeName(value + "_quantized");
        dequantizedInputs[value] = FreeName(value + "_dequantized");
        nodes.Add(QuantizeNode(value, value, integers));
        nodes.Add(DequantizeNode(value, integers, dequantizedInputs[value]));
    }

    private void AddQuantized(QuantizedNode node, NodeProto copy)
    {
        string value = node.Planned.Output;
        foreach (int i in node.Planned.Operator!.ActivationInputs)
            copy.Input[i] = dequantizedInputs.GetValueOrDefault(copy.Input[i], copy.Input[i]);
        if (node.Layer is QuantizedWeightLayer layer)
            AddWeights(node, layer, copy);
        string real = copy.Output[0] = FreeName(value + "_float"), integers = FreeName(value + "_quantized");
        nodes.Add(copy);
        nodes.Add(QuantizeNode(value, real, integers));
        QParams qparams = graph.QParamsOf(value)!;
        if (!node.Planned.Range.IsRedundant(qparams, graph.OnnxRule))
            integers = AddClip(node.Planned.Range, qparams, value, integers);
        nodes.Add(DequantizeNode(value, integers, value));
    }

    private string AddClip(ActivationRange range, QParams qparams, string value, string integers)
    {
        (int low, int high) = range.Integers(qparams, graph.OnnxRule);
        string clipped = FreeName(value + "_clipped");
        DataType type = TypeOf(qparams.DType);
        nodes.Add(Nodes.Create("Clip", FreeName(value + "_Clip"),
            [integers, Constant(value + "_low", type, [unchecked((byte)low)], []),
            Constant(value + "_high", type, [unchecked((byte)high)], [])], [clipped]));
        return clipped;
    }

    private void AddWeights(QuantizedNode node, QuantizedWeightLayer layer, NodeProto copy)
    {
        QParams p = layer.Weight.QParams;
        float[] scales = p.Scales.ToArray();
        byte[] integers = layer.Weight.Bytes.ToArray();
        if (layer.Bias is not null)
            WidenForBias(node.Name, layer, scales, integers);
        int[] shape = layer.Weight.Shape;
        bool transposed = ((WeightOperator)node.Planned.Operator!).WeightIsTransposed(copy);
        if (transposed)
        {
            var turned = new byte[integers.Length];
            MatrixWeight.Transpose<byte>(integers, turned, shape[0], shape[1]);
            (integers, shape) = (turned, [shape[1], shape[0]]);
        }
        byte[] zeroPoints = [.. p.ZeroPoints.ToArray().Select(z => unchecked((byte)z))];
        copy.Input[1] = AddConstantPair(copy.Input[1], DataType.Int8, integers, shape, scales, zeroPoints,
            p.IsPerChannel ? transposed ? 1 : 0 : null);
        if (layer.Bias is not float[] bias)
            return;
        float[] biasScales = Array.ConvertAll(scales, s => layer.InputQParams.Scales[0] * s);
        var biasIntegers = new int[bias.Length];
        for (int c = 0; c < bias.Length; c++)
            biasIntegers[c] = (int)Math.Clamp(Math.Round(bias[c] / (double)biasScales[p.IsPerChannel ? c : 0], MidpointRounding.ToEven),
                int.MinValue, int.MaxValue);
        copy.Input[2] = AddConstantPair(copy.Input[2], DataType.Int32, MemoryMarshal.AsBytes(biasIntegers.AsSpan()), [bias.Length],
            biasScales, new byte[biasScales.Length * sizeof(int)], p.IsPerChannel ? 0 : null);
    }

    /// <summary>Where a bias does not fit int32, makes the weight's scale larger and its integers smaller, as ONNX Runtime's own tool does.</summary>
    /// <remarks>Leaving the bias float would not do: ONNX Runtime quantizes it itself when it loads the model, and lets it wrap. Little is lost: beside
    /// such a bias the weights amount to less than a step of the output.</remarks>
    private void WidenForBias(string name, QuantizedWeightLayer layer, float[] scales, byte[] integers)
    {
        QParams p = layer.Weight.QParams;
        int channels = layer.OutputChannels, each = integers.Length / channels;
        for (int k = 0; k < scales.Length; k++)
        {
            ReadOnlySpan<float> bias = p.IsPerChannel ? layer.Bias.AsSpan(k, 1) : layer.Bias;
            float wide = OrtQParams.WidenForInt32Bias(scales[k], bias, layer.InputQParams.Scales[0]);
            if (wide == scales[k])
                continue;
            Span<byte> own = p.IsPerChannel ? integers.AsSpan(k * each, each) : integers;
            foreach (ref byte b in own)
                b = unchecked((byte)((int)Math.Round(((sbyte)b - p.ZeroPoints[k]) * (double)scales[k] / wide, MidpointRounding.ToEven)
                    + p.ZeroPoints[k]));
            notes.Add($"Layer '{name}': the bias{(p.IsPerChannel ? $" of channel {k}" : "")} does not fit int32 at its scale, so the file "
                + $"has the weight at scale {wide:G9} rather than {scales[k]:G9}.");
            scales[k] = wide;
        }
    }

    /// <summary>Integers as an initializer, and the DequantizeLinear behind it.</summary>
    /// <returns>Name of the dequantized value.</returns>
    private string AddConstantPair(string name, DataType type, ReadOnlySpan<byte> raw, int[] shape, ReadOnlySpan<float> scales,
        ReadOnlySpan<byte> zeroPoints, int? axis)
    {
        int[] parameterShape = axis is null ? [] : [scales.Length];
        string integers = Constant(name + "_quantized", type, raw, shape),
            scale = Constant(name + "_scale", DataType.Float, MemoryMarshal.AsBytes(scales), parameterShape);
        string zeroPoint = Constant(name + "_zero_point", type, zeroPoints, parameterShape), dequantized = FreeName(name + "_dequantized");
        NodeProto node = Nodes.Create("DequantizeLinear", FreeName(name + "_DequantizeLinear"), [integers, scale, zeroPoint], [dequantized]);
        if (axis is int a)
            node.Attribute.Add(Nodes.Attribute("axis", (long)a));
        nodes.Add(node);
        return dequantized;
    }

    private NodeProto QuantizeNode(string value, string from, string to)
    {
        (string scale, string zeroPoint) = ParametersOf(value);
        return Nodes.Create("QuantizeLinear", FreeName(value + "_QuantizeLinear"), [from, scale, zeroPoint], [to]);
    }

    private NodeProto DequantizeNode(string value, string from, string to)
    {
        (string scale, string zeroPoint) = ParametersOf(value);
        return Nodes.Create("DequantizeLinear", FreeName(value + "_DequantizeLinear"), [from, scale, zeroPoint], [to]);
    }

    /// <summary>Scale and zero point initializers of a value; values that share parameters share them.</summary>
    private (string Scale, string ZeroPoint) ParametersOf(string value)
    {
        string root = graph.Plan.Root(value)!;
        if (!parameters.TryGetValue(root, out (string, string) names))
        {
            QParams p = graph.QParamsOf(root)!;
            parameters[root] = names = (Constant(root + "_scale", DataType.Float, MemoryMarshal.AsBytes(p.Scales), []),
                Constant(root + "_zero_point", TypeOf(p.DType), [unchecked((byte)p.ZeroPoints[0])], []));
        }
        return names;
    }

    private string Constant(string name, DataType type, ReadOnlySpan<byte> raw, ReadOnlySpan<int> shape)
    {
        string free = FreeName(name);
        proto.Initializer.Add(TensorProtos.Create(free, type, raw, shape));
        return free;
    }

    private string FreeName(string wanted)
    {
        string name = wanted;
        for (int i = 1; !taken.Add(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }

    /// <summary>The float weights, and constants that only they or fused activations needed.</summary>
    private void RemoveUnused()
    {
        HashSet<string> outputs = [.. proto.Output.Select(o => o.Name)];
        // Constants may hang on constants, so until nothing is left to remove.
        for (bool removed = true; removed;)
        {
            HashSet<string> used = [.. proto.Node.SelectMany(GraphIndex.InputsOf), .. outputs];
            NodeProto[] dead = [.. proto.Node.Where(n => n.OpType is "Constant" or "Identity" && n.Output.All(o => !used.Contains(o)))];
            foreach (NodeProto node in dead)
                proto.Node.Remove(node);
            removed = dead.Length > 0;
            if (removed)
                continue;
            TensorProto[] unused = [.. proto.Initializer.Where(t => !used.Contains(t.Name))];
            foreach (TensorProto t in unused)
                proto.Initializer.Remove(t);
            HashSet<string> gone = [.. unused.Select(t => t.Name)];
            foreach (ValueInfoProto input in proto.Input.Where(v => gone.Contains(v.Name)).ToArray())
                proto.Input.Remove(input);
        }
        if (model.Proto.IrVersion < OnnxModel.FirstIrWithFreeInitializers)
            model.Proto.IrVersion = OnnxModel.FirstIrWithFreeInitializers;
        HashSet<string> live = [.. proto.Node.SelectMany(n => n.Output)];
        foreach (ValueInfoProto info in proto.ValueInfo.Where(v => !live.Contains(v.Name)).ToArray())
            proto.ValueInfo.Remove(info);
    }

    private static DataType TypeOf(QDType dtype) => dtype == QDType.QInt8 ? DataType.Int8 : DataType.Uint8;
}
