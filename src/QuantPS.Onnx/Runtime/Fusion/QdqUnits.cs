using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>Finds layers in QDQ form: an operator whose activations come from DequantizeLinear and whose result goes to one QuantizeLinear.</summary>
/// <remarks>What ONNX Runtime's QDQ selectors find (core/optimizer/qdq_transformer/selectors_actions): per-tensor parameters of 8 bits that are
/// constants; the float values between must not be needed by anybody else.</remarks>
internal sealed class QdqUnits(UnitValues values)
{
    /// <summary>The layer around a node; null when there is none.</summary>
    public IntegerUnit? Find(NodeProto node) => FindChain(node) ?? FindNormalizedSum(node) ?? OperatorRegistry.Find(node).Select(o => Find(node, o)).FirstOrDefault(u => u is not null)
        ?? (FunctionTables.Find(ContextOf(node)) is { } table ? Find(node, table) : null);

    /// <summary>A layer for every piece that a Split makes, the node itself in the first; empty where one of them is none.</summary>
    public IReadOnlyList<IntegerUnit> FindPieces(NodeProto node)
    {
        if (!node.Is("Split") || Source(GraphIndex.Input(node, 0)) is not { } source)
            return [];
        NodeContext context = ContextOf(node);
        List<IntegerUnit> units = [];
        for (int i = 0; i < node.Output.Count; i++)
        {
            if (values.Graph.Consumers(node.Output[i]).Count == 0 && !values.Graph.IsOutput(node.Output[i]))
                continue;
            if (Split.PartOf(context, i) is not { } part || QuantizeOf(node.Output[i]) is not var (quantize, output))
                return [];
            units.Add(new IntegerUnit
            {
                Context = context,
                Operator = part,
                Nodes = units.Count == 0 ? [node, quantize] : [quantize],
                Inputs = [source],
                Output = (quantize.Output[0], output),
            });
        }
        return units;
    }

    /// <summary>Element-wise nodes one behind the other, with nothing rounded between: a table.</summary>
    private IntegerUnit? FindChain(NodeProto node)
    {
        if (!node.Input.Any(i => Source(i) is not null) || ElementwiseChain.Find(values.Graph, values.Types, node, FormOf) is not { } chain
            || Source(node.Input[chain.ActivationInputs(node)[0]]) is not { } source || QuantizeOf(chain.Nodes[^1].Output[0]) is not var (quantize, output))
            return null;
        return new IntegerUnit
        {
            Context = new NodeContext(values.Graph, node, values.Types),
            Operator = chain,
            Nodes = [.. chain.Nodes, quantize],
            Inputs = [source],
            Output = (quantize.Output[0], output),
        };

        QuantOperator? FormOf(NodeProto n)
        {
            NodeContext context = new(values.Graph, n, values.Types);
            return OperatorRegistry.Find(n).FirstOrDefault(o => o.WhyFloat(context) is null) ?? FunctionTables.Find(context);
        }
    }

    /// <summary>The end of a residual branch, with nothing rounded between the sum and the normalization.</summary>
    private IntegerUnit? FindNormalizedSum(NodeProto node)
    {
        NodeContext context = ContextOf(node);
        if (NormalizedSum.Find(context) is not { } sum || QuantizeOf(sum.Normalization.Output[0]) is not var (quantize, output)
            || sum.Operands.Select(Source).OfType<(string, QParams)>().ToArray() is not { Length: 2 } sources)
            return null;
        return new IntegerUnit
        {
            Context = context,
            Operator = sum,
            Nodes = [.. sum.Scales, node, sum.Normalization, quantize],
            Inputs = sources,
            Output = (quantize.Output[0], output),
        };
    }

    /// <summary>The QuantizeLinear that alone takes a value, and its parameters.</summary>
    private (NodeProto Node, QParams QParams)? QuantizeOf(string value) =>
        values.Graph.OnlyConsumer(value) is NodeProto quantize && IsPair(quantize, "QuantizeLinear") && GraphIndex.Input(quantize, 0) == value
        && values.Parameters(UnitValues.EightBit(values.TypeOf(quantize.Output[0])), quantize.Input[1], GraphIndex.Input(quantize, 2)) is QParams output
            ? (quantize, output) : null;

    private IntegerUnit? Find(NodeProto node, QuantOperator op)
    {
        NodeContext context = ContextOf(node, op);
        int[] activations = [.. op.ActivationInputs(node)];
        if (op.QuantizedOutputs(node).Count != 1 || node.Output.Skip(1).Any(o => o.Length > 0) || activations.Any(i => Source(GraphIndex.Input(node, i)) is null)
            || op.WhyFloat(context) is not null)
            return null;
        NodeProto last = node;
        List<NodeProto> nodes = [node];
        LayerBias bias = default;
        QuantizedTensor? weight = null;
        QParams input = Source(node.Input[activations[0]])!.Value.QParams;
        if (op is WeightOperator weighted)
        {
            weight = WeightOf(context, weighted);
            string biasName = GraphIndex.Input(node, 2);
            if (weighted.BiasAdd(context) is NodeProto add)
            {
                context = context with { BiasAdd = add };
                biasName = MatMul.BiasName(context, add);
                nodes.Add(last = add);
            }
            if (weight is null || BiasOf(context, weighted, biasName, weight, input) is not LayerBias found)
                return null;
            bias = found;
        }
        else if (op is not Normalization && op.WeightInputs(context).Count > 0)
            return null;

        NodeProto? activation = null;
        ActivationRange range = ActivationRange.All;
        if (op.AbsorbsActivation && values.Graph.OnlyConsumer(last.Output[0]) is NodeProto next && GraphIndex.Input(next, 0) == last.Output[0]
            && OperatorRegistry.Find(next).FirstOrDefault()?.RangeOf(values.Graph, next) is ActivationRange limited)
        {
            nodes.Add(activation = last = next);
            range = limited;
        }
        if (QuantizeOf(last.Output[0]) is not var (quantize, output))
            return null;
        nodes.Add(quantize);
        return new IntegerUnit
        {
            Context = context,
            Operator = op,
            Nodes = nodes,
            Inputs = [.. activations.Select(i => Source(node.Input[i])!.Value)],
            Output = (quantize.Output[0], output),
            Activation = activation,
            Range = range,
            Weight = weight,
            Bias = bias,
        };
    }

    /// <summary>A layer with weights and the Clip or Relu behind it, straight on its integers or between pairs of the same parameters: limits of the layer's own, as
    /// rounding is monotonic. The layer itself where there is none, or somebody else needs what lies between.</summary>
    public IntegerUnit WithLimits(IntegerUnit unit)
    {
        if (unit.Weight is null || unit.Activation is not null || values.Graph.OnlyConsumer(unit.Output.Name) is not NodeProto next)
            return unit;
        QParams qparams = unit.Output.QParams;
        if (RangeOf(next, unit.Output.Name) is ActivationRange integers && UnitValues.EightBit(values.TypeOf(next.Output[0])) == qparams.DType)
            return Limited(integers.Integers(new QParams(1f, 0, qparams.DType), onnxRule: true), next, next);
        return Source(next.Output[0]) is { } source && source.QParams.IsSameAs(qparams) && values.Graph.OnlyConsumer(next.Output[0]) is NodeProto clip
            && RangeOf(clip, next.Output[0]) is ActivationRange real && QuantizeOf(clip.Output[0]) is var (quantize, output) && output.IsSameAs(qparams)
            ? Limited(real.Integers(qparams, onnxRule: true), clip, quantize) : unit;

        IntegerUnit Limited((int, int) limits, NodeProto activation, NodeProto last) => unit with
        {
            Nodes = [.. unit.Nodes, activation, .. ReferenceEquals(activation, last) ? [] : new[] { last }],
            Output = (last.Output[0], qparams),
            Activation = activation,
            Limits = limits,
        };

        ActivationRange? RangeOf(NodeProto node, string value) =>
            GraphIndex.Input(node, 0) == value ? OperatorRegistry.Find(node).FirstOrDefault()?.RangeOf(values.Graph, node) : null;
    }

    /// <summary>The integers behind a dequantized value of 8 bits per tensor, and what they mean.</summary>
    private (string Name, QParams QParams)? Source(string value) => values.Graph.Producer(value) is NodeProto node && IsPair(node, "DequantizeLinear")
        && values.Parameters(UnitValues.EightBit(values.TypeOf(node.Input[0])), node.Input[1], GraphIndex.Input(node, 2)) is QParams p ? (node.Input[0], p) : null;

    private NodeContext ContextOf(NodeProto node) => new(values.Graph, node, values.Types) { Dequantized = Dequantized };

    /// <summary>The same for an operator, of whose weight only the shape is asked for.</summary>
    private NodeContext ContextOf(NodeProto node, QuantOperator op)
    {
        NodeContext context = ContextOf(node);
        return op is WeightOperator && node.Input.Count(i => i == GraphIndex.Input(node, 1)) == 1 && values.Graph.Producer(node.Input[1]) is NodeProto dequantize && IsPair(dequantize, "DequantizeLinear")
            ? context with { Dequantized = value => value == node.Input[1] ? values.RealShape(value, dequantize.Input[0], dequantize.Input[1]) : Dequantized(value) } : context;
    }

    private static bool IsPair(NodeProto node, string opType) => node.Is(opType) && node.GetInt("block_size", 0) == 0;

    private QuantizedTensor? WeightOf(NodeContext context, WeightOperator op)
    {
        if (context.ConstantInput(1) is not { } real || values.Graph.Producer(context.Node.Input[1]) is not NodeProto node || !IsPair(node, "DequantizeLinear"))
            return null;
        int rank = real.Dims.Count, channels = op is ConvTranspose || op.WeightIsTransposed(context.Node) ? 1 : 0;
        int axis = TensorShape.NormalizeAxis((int)node.GetInt("axis", 1), rank);
        QuantizedTensor? weight = values.Weight(node.Input[0], node.Input[1], GraphIndex.Input(node, 2), axis);
        if (weight is null || (weight.QParams.IsPerChannel && axis != channels))
            return null;
        return op.WeightIsTransposed(context.Node) ? MatrixWeight.Transposed(weight) : weight;
    }

    /// <summary>null when there is a bias of a kind that a layer does not take.</summary>
    private LayerBias? BiasOf(NodeContext context, WeightOperator op, string name, QuantizedTensor weight, QParams input)
    {
        if (name.Length == 0)
            return default(LayerBias);
        if (context.Constant(name) is not { } real || real.Type() != DataType.Float)
            return null;
        float[]? bias = op.Bias(context);
        if (values.Graph.Producer(name) is not NodeProto node || !IsPair(node, "DequantizeLinear"))
            return new LayerBias(bias);
        // As integers only where their steps are those of the sums.
        bool fits = values.Scales(node.Input[1]) is { } scales && (scales.Length == 1 || scales.Length == weight.QParams.Scales.Length);
        for (int c = 0; fits && c < weight.QParams.Scales.Length; c++)
        {
            float[] steps = values.Scales(node.Input[1])!;
            fits = steps[steps.Length == 1 ? 0 : c] == input.Scales[0] * weight.QParams.Scales[c];
        }
        return fits && values.Integers32(node.Input[0]) is { } integers && integers.Length == bias?.Length ? new LayerBias(bias, integers) : new LayerBias(bias);
    }

    /// <summary>The float constant behind DequantizeLinear of a constant.</summary>
    private TensorProto? Dequantized(string value) =>
        values.Graph.Producer(value) is NodeProto node && IsPair(node, "DequantizeLinear") ? values.Real(value) : null;
}
