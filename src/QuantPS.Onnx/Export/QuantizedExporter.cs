using System.Runtime.InteropServices;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Export;

/// <summary>What the two forms of a quantized file have in common: constants, parameters, names, and the float operator between
/// DequantizeLinear and
/// QuantizeLinear.</summary>
/// <remarks>Weights are integer initializers, biases int32 ones (scale = input scale x weight scale in float32, zero point 0). A quantized
/// value keeps its
/// name where it is float. The int32 bias rounds and QuantizeLinear divides, so results may differ by one step from PyTorch's
/// engines.</remarks>
public abstract class QuantizedExporter
{
    /// <summary>First operator set with scales along an axis.</summary>
    private const int OpsetVersion = 13;

    /// <summary>First operator set with 16- and 4-bit types in QuantizeLinear; before, ONNX Runtime's own operators have them.</summary>
    private const int WideTypesOpset = 21;

    /// <summary>IR version that came with the 4-bit types.</summary>
    private const int IrOfFourBits = 10;

    private readonly HashSet<string> taken;
    private readonly Dictionary<NodeProto, NodeProto> copies = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<(string Root, string? Form), (string Scale, string ZeroPoint)> parameters = [];
    private readonly Dictionary<string, (string Integers, string Dequantized)> constants = new(StringComparer.Ordinal);
    private readonly OnnxModel model;
    private readonly bool contribPairs;

    private protected QuantizedExporter(QuantizedGraph graph)
    {
        Graph = graph;
        model = graph.Float.Clone();
        model.IsQuantizedForm = true;
        Proto = model.Proto.Graph;
        taken = [.. Proto.Initializer.Select(t => t.Name), .. Proto.Input.Select(v => v.Name), .. Proto.Node.SelectMany(n => n.Output),
            .. Proto.Node.SelectMany(GraphIndex.InputsOf)];
        QuantizedProducts = [.. graph.Nodes.SelectMany(n => n.Planned.Outputs)];
        contribPairs = graph.Options.ContribOperators || (model.Opset < WideTypesOpset && TypesUsed().Any(t => t.Bits() is 4 or 16));
    }

    protected QuantizedGraph Graph { get; }

    /// <summary>The file's graph: the float one until <see cref="Run"/> is done.</summary>
    protected GraphProto Proto { get; }

    /// <summary>The nodes of the file.</summary>
    protected List<NodeProto> Written { get; } = [];

    /// <summary>Values that a quantized node makes.</summary>
    protected HashSet<string> QuantizedProducts { get; }

    internal int Opset => model.Opset;

    protected ExportResult Run()
    {
        // Pairs each node of the float model with its copy, before anything moves.
        foreach ((NodeProto original, NodeProto copy) in Graph.Float.Proto.Graph.Node.Zip(Proto.Node))
            copies[original] = copy;
        OpsetRaiser.Raise(model, OpsetVersion, Graph.Plan.Types);
        foreach (ValueInfoProto input in Graph.Float.Graph.Inputs)
            AddSource(input.Name);
        Dictionary<NodeProto, QuantizedNode> planned = new(ReferenceEqualityComparer.Instance);
        HashSet<NodeProto> fused = new(ReferenceEqualityComparer.Instance);
        foreach (QuantizedNode node in Graph.Nodes.Where(n => n.IsQuantized))
        {
            // A chain is written where its last node is, behind the constants that it takes.
            NodeProto place = node.Planned.Chain.LastOrDefault() ?? node.Planned.Node;
            planned[place] = node;
            fused.UnionWith(node.Planned.Parts.Where(p => !ReferenceEquals(p, place)));
        }
        // First of all: a layer takes in an activation from further down, with the limits that stand there.
        NodeProto[] constantNodes = [.. Graph.Float.Graph.Nodes.Where(n => n.Is("Constant"))];
        foreach (NodeProto constant in constantNodes)
            AddFloat(copies[constant]);
        foreach (NodeProto original in Graph.Float.Graph.Nodes.Except(constantNodes))
        {
            if (fused.Contains(original))
                continue;
            if (planned.TryGetValue(original, out QuantizedNode? node))
            {
                AddQuantized(node);
                foreach (string output in original.Output.Where(o => !QuantizedProducts.Contains(o)))
                    AddSource(output);
                continue;
            }
            AddFloat(copies[original]);
            foreach (string output in original.Output)
                AddSource(output);
        }
        Finish();
        Proto.Node.Clear();
        Proto.Node.AddRange(Written);
        RemoveUnused();
        ImportDomains();
        model.Invalidate();
        _ = model.Graph;
        return new ExportResult(model, Graph.Notes);
    }

    /// <summary>A value that comes in as float, from outside or from a float node.</summary>
    protected abstract void AddSource(string value);

    /// <summary>A node that stays float.</summary>
    protected abstract void AddFloat(NodeProto copy);

    protected abstract void AddQuantized(QuantizedNode node);

    /// <summary>The float name under which a quantized node takes a value: dequantized.</summary>
    protected abstract string Dequantized(PlannedNode node, string value);

    /// <summary>A quantized node made a value.</summary>
    /// <param name="value">Its name in the float graph.</param>
    /// <param name="real">The float name before QuantizeLinear.</param>
    /// <param name="integers">The integers' name.</param>
    protected abstract void Produce(string value, string real, string integers);

    protected virtual void Finish()
    {
    }

    internal NodeProto CopyOf(NodeProto original) => copies[original];

    /// <summary>The float operator on dequantized values, and its results quantized.</summary>
    protected void AddFloatForm(QuantizedNode node)
    {
        PlannedNode planned = node.Planned;
        NodeProto copy = copies[planned.Node], last = copy;
        foreach (NodeProto product in planned.Before)
        {
            NodeProto scale = copies[product];
            for (int i = 0; i < scale.Input.Count; i++)
                scale.Input[i] = planned.Inputs.Contains(scale.Input[i]) ? Dequantized(planned, scale.Input[i]) : scale.Input[i];
            Written.Add(scale);
        }
        foreach (int i in planned.Operator!.ActivationInputs(planned.Node).Where(i => planned.Inputs.Contains(copy.Input[i])))
            copy.Input[i] = Graph.Constants.ContainsKey(copy.Input[i]) ? Constant(copy.Input[i]).Dequantized : Dequantized(planned, copy.Input[i]);
        foreach ((int index, QuantizedTensor weight) in node.Weights)
        {
            if (index < copy.Input.Count)
                copy.Input[index] = AddWeight(copy.Input[index], weight);
        }
        Written.Add(copy);
        if (planned.BiasAdd is NodeProto bias)
        {
            last = copies[bias];
            int constant = last.Input[0] == planned.Node.Output[0] ? 1 : 0;
            QuantizedTensor integers = node.Weights[NodeWeights.BiasIndex];
            // A scale a channel goes along the last dimension.
            int[] shape = Graph.Float.Graph.Constant(last.Input[constant])!.Shape();
            last.Input[constant] = AddWeight(last.Input[constant], integers, shape, shape.Length - 1);
            Written.Add(last);
        }
        if (planned.Operator is NormalizedSum sum)
            Written.Add(last = copies[sum.Normalization]);
        else if (planned.Chain.Count > 0)
        {
            string variable = planned.Inputs.Single(), dequantized = copy.Input[planned.Operator.ActivationInputs(planned.Node)[0]];
            foreach (NodeProto part in planned.Chain)
            {
                last = copies[part];
                for (int i = 0; i < last.Input.Count; i++)
                    last.Input[i] = last.Input[i] == variable ? dequantized : last.Input[i];
                Written.Add(last);
            }
        }
        foreach (int k in planned.Operator.QuantizedOutputs(planned.Node))
        {
            if (planned.HasFloatOutput)
                break;
            string value = k == 0 ? planned.Output : planned.Node.Output[k], real = FreeName(value + "_float");
            last.Output[k] = real;
            if (planned.FusedActivation is NodeProto activation && Graph.Options.KeepActivations)
            {
                NodeProto kept = copies[activation];
                string before = last.Output[k] = FreeName(value + "_before");
                kept.Input[0] = before;
                kept.Output[0] = real;
                Written.Add(kept);
            }
            string integers = FreeName(value + "_quantized");
            Written.Add(QuantizeNode(value, real, integers));
            Produce(value, real, Limited(planned, value, integers));
        }
    }

    /// <summary>The integers within what a fused Relu or Clip lets through; a Clip of integers where their own range does not say
    /// it.</summary>
    /// <remarks>With such a Clip before QuantizeLinear, ONNX Runtime 1.31.1 runs the Conv in float.</remarks>
    internal string Limited(PlannedNode node, string value, string integers)
    {
        QParams qparams = Graph.QParamsOf(value)!;
        return node.FusedActivation is null || Graph.Options.KeepActivations || node.Range.IsRedundant(qparams, Graph.OnnxRule)
            ? integers : AddClip(node.Range, qparams, value, integers, FreeName(value + "_clipped"));
    }

    internal string AddClip(ActivationRange range, QParams qparams, string value, string integers, string clipped)
    {
        (int low, int high) = range.Integers(qparams, Graph.OnnxRule);
        Written.Add(Nodes.Create("Clip", FreeName(value + "_Clip"),
            [integers, Integer(value + "_low", qparams.DType, low), Integer(value + "_high", qparams.DType, high)], [clipped]));
        return clipped;

        string Integer(string name, QDType type, int number) =>
            Initializer(name, QuantizedTensor.FromIntegers([number], [], new QParams(1f, 0, type)));
    }

    /// <summary>A constant that is quantized like an activation: its integers, and the float name behind DequantizeLinear.</summary>
    internal (string Integers, string Dequantized) Constant(string name)
    {
        if (!constants.TryGetValue(name, out (string Integers, string Dequantized) names))
        {
            names = (Initializer(name + "_quantized", Graph.Constants[name]), FreeName(name + "_dequantized"));
            Written.Add(DequantizeNode(name, names.Integers, names.Dequantized));
            constants[name] = names;
        }
        return names;
    }

    /// <summary>A weight as integers, and the DequantizeLinear behind it; or as float behind a pair, where the user wants that.</summary>
    /// <returns>Name of the dequantized value.</returns>
    private string AddWeight(string name, QuantizedTensor weight, int[]? shape = null, int? axis = null)
    {
        QParams p = weight.QParams;
        (string scale, string zeroPoint) = WeightParameters(name, p);
        string dequantized = FreeName(name + "_dequantized"), integers;
        AttributeProto[] attributes = p.IsPerChannel ? [Nodes.Attribute("axis", (long)(axis ?? p.Axis))] : [];
        if (Graph.Options.PairedWeights && p.DType != QDType.QInt32)
        {
            integers = FreeName(name + "_quantized");
            Written.Add(Pair("QuantizeLinear", FreeName(name + "_QuantizeLinear"), [name, scale, zeroPoint], integers, attributes));
        }
        else
            integers = Initializer(name + "_quantized", weight, shape);
        Written.Add(Pair("DequantizeLinear", FreeName(name + "_DequantizeLinear"), [integers, scale, zeroPoint], dequantized, attributes));
        return dequantized;
    }

    internal (string Scale, string ZeroPoint) WeightParameters(string name, QParams p)
    {
        int[] shape = p.IsPerChannel ? [p.Scales.Length] : [];
        return (Initializer(name + "_scale", DataType.Float, MemoryMarshal.AsBytes(p.Scales), shape),
            Initializer(name + "_zero_point", QuantizedTensor.FromIntegers(p.ZeroPoints, shape, new QParams(1f, 0, p.DType))));
    }

    private protected NodeProto QuantizeNode(string value, string from, string to, QParams? form = null)
    {
        (string scale, string zeroPoint) = ParametersOf(value, form);
        return Pair("QuantizeLinear", FreeName(value + "_QuantizeLinear"), [from, scale, zeroPoint], to);
    }

    private protected NodeProto DequantizeNode(string value, string from, string to, QParams? form = null)
    {
        (string scale, string zeroPoint) = ParametersOf(value, form);
        return Pair("DequantizeLinear", FreeName(value + "_DequantizeLinear"), [from, scale, zeroPoint], to);
    }

    private NodeProto Pair(string op, string name, string[] inputs, string output, params AttributeProto[] attributes)
    {
        NodeProto node = Nodes.Create(op, name, inputs, [output], attributes);
        node.Domain = contribPairs ? IntegerWriter.Microsoft : "";
        return node;
    }

    /// <summary>Scale and zero point initializers of a value; values that share parameters share them.</summary>
    /// <param name="value">A quantized value.</param>
    /// <param name="form">Parameters that some consumers see instead of the value's own; null for the latter.</param>
    internal (string Scale, string ZeroPoint) ParametersOf(string value, QParams? form = null)
    {
        string root = Graph.Plan.Root(value)!;
        QParams p = form ?? Graph.QParamsOf(root)!;
        var key = (root, form?.ToString());
        if (!parameters.TryGetValue(key, out (string, string) names))
            parameters[key] = names = WeightParameters(form is null ? root : root + "_converted", p);
        return names;
    }

    internal string Initializer(string name, QuantizedTensor integers, int[]? shape = null) =>
        Initializer(name, TypeOf(integers.DType), integers.Bytes, shape ?? integers.Shape);

    internal string Initializer(string name, DataType type, ReadOnlySpan<byte> raw, ReadOnlySpan<int> shape)
    {
        string free = FreeName(name);
        Proto.Initializer.Add(TensorProtos.Create(free, type, raw, shape));
        return free;
    }

    internal string FreeName(string wanted)
    {
        string name = wanted;
        for (int i = 1; !taken.Add(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }

    internal void Write(NodeProto node) => Written.Add(node);

    private IEnumerable<QDType> TypesUsed() => Graph.Plan.Observed.Concat(Graph.Plan.Constants).Select(v => Graph.QParamsOf(v)!.DType)
        .Concat(Graph.Nodes.SelectMany(n => n.Planned.Inputs.Select(v => Graph.InputQParams(n.Planned, v).DType)))
        .Concat(Graph.Nodes.SelectMany(n => n.Weights.Values).Select(w => w.DType));

    /// <summary>Names the operator sets that came in, and the version of the format that the types need.</summary>
    private void ImportDomains()
    {
        foreach (string domain in Written.Select(n => OnnxModel.NormalizeDomain(n.Domain)).Distinct().Where(d => model.OpsetOf(d) == 0).ToArray())
            model.Proto.OpsetImport.Add(new OperatorSetIdProto { Domain = domain, Version = 1 });
        if (TypesUsed().Any(t => t.Bits() == 4))
            model.Proto.IrVersion = Math.Max(model.Proto.IrVersion, IrOfFourBits);
    }

    /// <summary>The float weights, and constants that only they or fused activations needed.</summary>
    private void RemoveUnused()
    {
        HashSet<string> outputs = [.. Proto.Output.Select(o => o.Name)];
        // The calibration saw their values. Among the inputs, where files of IR version 3 have them, ONNX Runtime warns of them and folds nothing.
        HashSet<string> constants = [.. Proto.Initializer.Select(t => t.Name)];
        // Constants may hang on constants, so until nothing is left to remove.
        for (bool removed = true; removed;)
        {
            HashSet<string> used = [.. Proto.Node.SelectMany(GraphIndex.InputsOf), .. outputs];
            NodeProto[] dead = [.. Proto.Node.Where(n => n.OpType is "Constant" or "Identity" or "DequantizeLinear"
                && n.Output.All(o => !used.Contains(o)))];
            foreach (NodeProto node in dead)
                Proto.Node.Remove(node);
            removed = dead.Length > 0;
            if (removed)
                continue;
            TensorProto[] unused = [.. Proto.Initializer.Where(t => !used.Contains(t.Name))];
            foreach (TensorProto t in unused)
                Proto.Initializer.Remove(t);
        }
        foreach (ValueInfoProto input in Proto.Input.Where(v => constants.Contains(v.Name)).ToArray())
            Proto.Input.Remove(input);
        if (model.Proto.IrVersion < OnnxModel.FirstIrWithFreeInitializers)
            model.Proto.IrVersion = OnnxModel.FirstIrWithFreeInitializers;
        HashSet<string> live = [.. Proto.Node.SelectMany(n => n.Output)];
        foreach (ValueInfoProto info in Proto.ValueInfo.Where(v => !live.Contains(v.Name)).ToArray())
            Proto.ValueInfo.Remove(info);
    }

    private static DataType TypeOf(QDType dtype) => dtype switch
    {
        QDType.QInt8 => DataType.Int8,
        QDType.QUInt8 => DataType.Uint8,
        QDType.QInt16 => DataType.Int16,
        QDType.QUInt16 => DataType.Uint16,
        QDType.QInt4 => DataType.Int4,
        QDType.QUInt4 => DataType.Uint4,
        _ => DataType.Int32,
    };
}
