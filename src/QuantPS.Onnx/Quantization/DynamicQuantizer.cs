using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Quantization;

/// <summary>Quantizes weights once and activations anew for every run: needs no data. The result is an ONNX model with
/// DynamicQuantizeLinear,
/// MatMulInteger and ConvInteger; biases stay float.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization quantize_dynamic, operators/matmul.py MatMulInteger, conv.py ConvInteger,
/// gather.py. Activations
/// are quint8 of the range of each run, as the operator has it; Gemm becomes a matrix product and an addition.</remarks>
public sealed class DynamicQuantizer
{
    /// <summary>The operator set that DynamicQuantizeLinear came with.</summary>
    private const int OpsetVersion = 13;

    private static readonly string[] OpTypes = ["MatMul", "Gemm", "Conv", "Gather"];
    private readonly QuantizeOptions options;
    private readonly OnnxModel model;
    private readonly GraphIndex graph;
    private readonly ValueTypes types;
    private readonly HashSet<string> taken;
    private List<NodeProto> written = [];
    private readonly List<TensorProto> initializers = [];
    private readonly Dictionary<(string, int?, QDType?, string), string[]> weights = [];
    private Dictionary<string, string[]> activations = new(StringComparer.Ordinal);
    // Constants of the bodies that are being written, the innermost last.
    private readonly List<Dictionary<string, TensorProto>> scopes = [];
    private readonly List<int> bodies = [];
    private int quantized, bodyCount;

    private DynamicQuantizer(OnnxModel source, QuantizeOptions options)
    {
        this.options = options;
        model = source.Clone();
        model.IsQuantizedForm = true;
        types = ValueTypes.Infer(model);
        OpsetRaiser.Raise(model, OpsetVersion, types);
        graph = model.Graph;
        GraphProto proto = model.Proto.Graph;
        taken = [.. proto.Initializer.Select(t => t.Name), .. proto.Input.Select(v => v.Name), .. proto.Node.SelectMany(n => n.Output),
            .. proto.Node.SelectMany(GraphIndex.InputsOf), .. proto.Node.Select(n => n.Name), .. BodiesIn(proto.Node).SelectMany(NamesIn)];
    }

    /// <param name="model">The float model, after the passes; not changed.</param>
    /// <param name="options">Of these: which nodes and types, bodies of control flow, per channel, reduced range, type and symmetry of the weights.</param>
    /// <exception cref="QuantException">NothingToQuantize, LayerNotFound (a pattern that matches nothing), UnsupportedDType,
    /// UnsupportedOperator.</exception>
    public static OnnxModel Quantize(OnnxModel model, QuantizeOptions? options = null) => new DynamicQuantizer(model, options ?? new()).Run();

    private OnnxModel Run()
    {
        if (options.WeightType is QDType dtype && !dtype.IsEightBit())
            throw new QuantException(ErrorIds.UnsupportedDType,
                $"Dynamic quantization takes weights of 8 bits, not {dtype.TorchName()}. Use qint8 or quint8.", model);
        NodeProto[] work = [.. graph.Nodes.Where(n => n.Output.Count == 0 || graph.Constant(n.Output[0]) is null)];
        OptionPatterns.Check(options, model.Name, options.Subgraphs ? [.. work, .. BodiesIn(work).SelectMany(b => b.Node)] : work, OpTypes);
        foreach (NodeProto node in graph.Nodes)
            Write(node, work.Contains(node));
        if (quantized == 0)
            throw new QuantException(ErrorIds.NothingToQuantize,
                $"'{model.Name}' has no node that dynamic quantization knows, with constant weights and among those to quantize: "
                + $"{string.Join(", ", OpTypes)}.", model);
        GraphProto proto = model.Proto.Graph;
        NodeProto[] nodes = [.. written];
        proto.Node.Clear();
        proto.Node.AddRange(nodes);
        proto.Initializer.AddRange(initializers);
        HashSet<string> used = [.. nodes.SelectMany(GraphIndex.InputsOf), .. proto.Output.Select(o => o.Name)];
        foreach (TensorProto unused in proto.Initializer.Where(t => !used.Contains(t.Name)).ToArray())
            proto.Initializer.Remove(unused);
        foreach (NodeProto unused in proto.Node.Where(n => n.OpType == "Constant" && !used.Contains(n.Output[0])).ToArray())
            proto.Node.Remove(unused);
        foreach (ValueInfoProto input in proto.Input.Where(v => !graph.Inputs.Contains(v)).ToArray())
            proto.Input.Remove(input);
        model.Proto.IrVersion = Math.Max(model.Proto.IrVersion, OnnxModel.FirstIrWithFreeInitializers);
        model.Invalidate();
        _ = model.Graph;
        return model;
    }

    private void Write(NodeProto node, bool isWork)
    {
        if (isWork && IsWanted(node) && TryWrite(node))
        {
            quantized++;
            return;
        }
        foreach (AttributeProto attribute in options.Subgraphs && OptionPatterns.WhyExcluded(options, node) is null ? node.Attribute : [])
        {
            if (attribute.G is not null)
                WriteBody(attribute.G);
            foreach (GraphProto body in attribute.Graphs)
                WriteBody(body);
        }
        written.Add(node);
    }

    /// <summary>The body of an If, Loop or Scan, in place. Integer weights become constants of the model, which a body sees; an activation is quantized
    /// in the body that takes it.</summary>
    private void WriteBody(GraphProto body)
    {
        (List<NodeProto> outerNodes, Dictionary<string, string[]> outerActivations) = (written, activations);
        (written, activations) = ([], new(StringComparer.Ordinal));
        Dictionary<string, TensorProto> own = new(StringComparer.Ordinal);
        foreach (TensorProto constant in body.Initializer)
            own[constant.Name] = constant;
        foreach (NodeProto node in body.Node.Where(n => n.Is("Constant") && n.Attribute.Any(a => a.Name == "value")))
            own[node.Output[0]] = node.Attribute.Single(a => a.Name == "value").T;
        scopes.Add(own);
        bodies.Add(bodyCount++);
        foreach (NodeProto node in body.Node)
            Write(node, !node.Is("Constant"));
        scopes.RemoveAt(scopes.Count - 1);
        bodies.RemoveAt(bodies.Count - 1);
        body.Node.Clear();
        body.Node.AddRange(written);
        HashSet<string> used = [.. body.Node.SelectMany(GraphIndex.InputsOf), .. body.Output.Select(o => o.Name)];
        foreach (TensorProto unused in body.Initializer.Where(t => !used.Contains(t.Name)).ToArray())
            body.Initializer.Remove(unused);
        foreach (NodeProto unused in body.Node.Where(n => n.Is("Constant") && !used.Contains(n.Output[0])).ToArray())
            body.Node.Remove(unused);
        (written, activations) = (outerNodes, outerActivations);
    }

    /// <summary>A constant input, of the innermost body that has the name; names in bodies are their own.</summary>
    private TensorProto? Constant(NodeProto node, int index)
    {
        string name = GraphIndex.Input(node, index);
        return scopes.AsEnumerable().Reverse().Select(s => s.GetValueOrDefault(name)).FirstOrDefault(t => t is not null) ?? graph.ConstantInput(node, index);
    }

    private static IEnumerable<GraphProto> BodiesIn(IEnumerable<NodeProto> nodes) => nodes.SelectMany(n => n.Attribute)
        .SelectMany(a => a.G is null ? a.Graphs : a.Graphs.Prepend(a.G)).SelectMany(b => BodiesIn(b.Node).Prepend(b));

    private static IEnumerable<string> NamesIn(GraphProto body) =>
        [.. body.Initializer.Select(t => t.Name), .. body.Input.Select(v => v.Name), .. body.Node.SelectMany(n => n.Output.Append(n.Name))];

    private bool IsWanted(NodeProto node) => OptionPatterns.WhyExcluded(options, node) is null && OnnxModel.NormalizeDomain(node.Domain).Length == 0
        && (options.OpTypes.Count == 0 || options.OpTypes.Any(p => LayerPattern.Matches(p, node.OpType)))
        && (options.Nodes.Count == 0 || options.Nodes.Any(p => LayerPattern.Matches(p, GraphIndex.DisplayName(node))));

    private bool TryWrite(NodeProto node) => node.OpType switch
    {
        "MatMul" => WriteMatMul(node),
        "Gemm" => WriteGemm(node),
        "Conv" => WriteConv(node),
        "Gather" => WriteGather(node),
        _ => false,
    };

    private bool WriteMatMul(NodeProto node)
    {
        if (Constant(node, 1) is TensorProto constant)
        {
            if (constant.Type() != DataType.Float || constant.Dims.Count < 2 || constant.Count() == 0)
                return false;
            string[] weight = Weight(constant.ToTensor(), node.Input[1], constant.Dims.Count - 1);
            WriteProduct(node, "MatMulInteger", Activation(node.Input[0]), weight, node.Output[0]);
            return true;
        }
        // What two activations in a body are, nobody says.
        if (options.ConstantMatMulOnly || scopes.Count > 0 || Constant(node, 0) is not null || !types.IsFloat(node.Input[0]) || !types.IsFloat(node.Input[1]))
            return false;
        WriteProduct(node, "MatMulInteger", Activation(node.Input[0]), Activation(node.Input[1]), node.Output[0]);
        return true;
    }

    /// <summary>A matrix product, with the weight turned where the file has it as [out, in], and an addition.</summary>
    private bool WriteGemm(NodeProto node)
    {
        if (Constant(node, 1) is not TensorProto constant || constant.Type() != DataType.Float
            || node.GetInt("transA", 0) != 0 || node.GetFloat("alpha", 1f) != 1f || node.GetFloat("beta", 1f) != 1f)
            return false;
        Tensor weight = constant.ToTensor();
        if (node.GetInt("transB", 0) != 0)
        {
            Tensor turned = new(weight.Dims[1], weight.Dims[0]);
            MatrixWeight.Transpose<float>(weight.Span, turned.Span, weight.Dims[0], weight.Dims[1]);
            weight = turned;
        }
        bool hasBias = GraphIndex.Input(node, 2).Length > 0;
        string product = hasBias ? Free(node.Output[0] + "_product") : node.Output[0];
        WriteProduct(node, "MatMulInteger", Activation(node.Input[0]), Weight(weight, node.Input[1], 1), product);
        if (hasBias)
            written.Add(Nodes.Create("Add", Free(NameOf(node) + "_bias"), [product, node.Input[2]], [node.Output[0]]));
        return true;
    }

    private bool WriteConv(NodeProto node)
    {
        if (Constant(node, 1) is not TensorProto constant || constant.Type() != DataType.Float)
            return false;
        bool hasBias = GraphIndex.Input(node, 2).Length > 0;
        string product = hasBias ? Free(node.Output[0] + "_product") : node.Output[0];
        // ONNX's ConvInteger has one scale and zero point for all channels, and ONNX Runtime's takes unsigned weights only.
        string[] weight = Weight(constant.ToTensor(), node.Input[1], null, QDType.QUInt8);
        WriteProduct(node, "ConvInteger", Activation(node.Input[0]), weight, product, [.. node.Attribute]);
        if (!hasBias)
            return true;
        // The bias goes along the channels: [1, O, 1, ...].
        long[] dims = [1, -1, .. Enumerable.Repeat(1L, constant.Dims.Count - 2)];
        string shape = Initializer(TensorProtos.Create(Free(NameOf(node) + "_bias_shape"), dims, [dims.Length]));
        string turned = Free(NameOf(node) + "_bias_reshaped");
        written.Add(Nodes.Create("Reshape", Free(NameOf(node) + "_bias_reshape"), [node.Input[2], shape], [turned]));
        written.Add(Nodes.Create("Add", Free(NameOf(node) + "_bias"), [product, turned], [node.Output[0]]));
        return true;
    }

    /// <summary>The table as integers; what is picked is dequantized.</summary>
    private bool WriteGather(NodeProto node)
    {
        if (Constant(node, 0) is not TensorProto table || table.Type() != DataType.Float || table.Count() == 0)
            return false;
        string[] weight = Weight(table.ToTensor(), node.Input[0], null);
        string picked = Free(node.Output[0] + "_quantized");
        written.Add(Nodes.Create("Gather", NameOf(node), [weight[0], node.Input[1]], [picked], [.. node.Attribute]));
        written.Add(Nodes.Create("DequantizeLinear", Free(NameOf(node) + "_DequantizeLinear"), [picked, weight[1], weight[2]], [node.Output[0]]));
        return true;
    }

    /// <summary>Integer sums, as float, times the product of the scales: the pattern that ONNX Runtime fuses.</summary>
    private void WriteProduct(NodeProto node, string op, string[] a, string[] b, string output, params AttributeProto[] attributes)
    {
        string name = NameOf(node), sums = Free(output + "_sums"), real = Free(output + "_real"), scale = Free(output + "_scale");
        written.Add(Nodes.Create("Mul", Free(name + "_scales"), [a[1], b[1]], [scale]));
        written.Add(Nodes.Create(op, Free(name + "_quant"), [a[0], b[0], a[2], b[2]], [sums], attributes));
        written.Add(Nodes.Create("Cast", Free(name + "_cast"), [sums], [real], Nodes.Attribute("to", (long)DataType.Float)));
        written.Add(Nodes.Create("Mul", Free(name + "_scale"), [real, scale], [output]));
    }

    /// <summary>Integers, scale and zero point of an activation, made once however many nodes take it.</summary>
    private string[] Activation(string value)
    {
        if (!activations.TryGetValue(value, out string[]? names))
        {
            activations[value] = names = [Free(value + "_quantized"), Free(value + "_scale"), Free(value + "_zero_point")];
            written.Add(Nodes.Create("DynamicQuantizeLinear", Free(value + "_DynamicQuantizeLinear"), [value], names));
        }
        return names;
    }

    private string[] Weight(Tensor weight, string name, int? axis, QDType? only = null)
    {
        // The same constant may be used in several ways, and another body may have another one of the name.
        string scope = scopes.FindLastIndex(s => s.ContainsKey(name)) is >= 0 and var level ? $"{bodies[level]}" : "";
        var key = (name, axis, only, $"{scope} {string.Join(',', weight.Shape)}");
        return weights.TryGetValue(key, out string[]? names) ? names : weights[key] = NewWeight(weight, name, axis, only);
    }

    private string[] NewWeight(Tensor weight, string name, int? axis, QDType? only)
    {
        QDType dtype = only ?? options.WeightType ?? QDType.QInt8;
        bool channels = options.PerChannel == true && axis is not null, symmetric = options.SymmetricWeights ?? dtype == QDType.QInt8;
        // A batch of matrices would need a scale a column of each; ONNX has one list for all.
        channels &= weight.Rank == 2;
        ObserverSpec spec = new()
        {
            Kind = channels ? ObserverKind.PerChannelMinMax : ObserverKind.MinMax,
            DType = dtype,
            ChannelAxis = axis ?? 0,
            ReduceRange = options.ReduceRange == true,
            Scheme = (channels, symmetric) switch
            {
                (true, true) => QScheme.PerChannelSymmetric,
                (true, false) => QScheme.PerChannelAffine,
                (false, true) => QScheme.PerTensorSymmetric,
                (false, false) => QScheme.PerTensorAffine,
            },
        };
        QParams p = new ParameterRules(EngineKind.OnnxRuntime, options.MinimumRealRange).OfConstant(weight, spec, null);
        QuantizedTensor q = Quantizer.Quantize(weight, p, onnxRule: true);
        int[] shape = channels ? [p.Scales.Length] : [];
        DataType type = dtype == QDType.QInt8 ? DataType.Int8 : DataType.Uint8;
        return
        [
            Initializer(TensorProtos.Create(Free(name + "_quantized"), type, q.Bytes, q.Shape)),
            Initializer(TensorProtos.Create(Free(name + "_scale"), p.Scales, shape)),
            Initializer(TensorProtos.Create(Free(name + "_zero_point"), type,
                [.. p.ZeroPoints.ToArray().Select(z => unchecked((byte)z))], shape)),
        ];
    }

    private string Initializer(TensorProto tensor)
    {
        initializers.Add(tensor);
        return tensor.Name;
    }

    private static string NameOf(NodeProto node) => GraphIndex.DisplayName(node);

    private string Free(string wanted)
    {
        string name = wanted;
        for (int i = 1; !taken.Add(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }
}
