using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Nodes one behind the other that make one value of one other, element by element: HardSwish, times a constant, plus a constant; x * Sigmoid(x).
/// In int8 they are a single table, so that the values between are never rounded to 8 bits.</summary>
/// <remarks>Not in the registry: the plan puts it in the place of the operator of the first of the nodes. Runs of nodes without a function other than
/// sums and products stay as they are, each with its own kernel, as PyTorch has them.</remarks>
public sealed class ElementwiseChain : QuantOperator
{
    private readonly NodeProto[] nodes;
    private readonly string variable;
    private readonly QuantOperator last;
    private readonly int channels;
    private readonly Func<int, float, float> function, onnxFunction;

    private ElementwiseChain(NodeProto[] nodes, string variable, QuantOperator last, int channels, Func<int, float, float> function, Func<int, float, float> onnxFunction) =>
        (this.nodes, this.variable, this.last, this.channels, this.function, this.onnxFunction) = (nodes, variable, last, channels, function, onnxFunction);

    /// <summary>That of the first node.</summary>
    public override string OpType => nodes[0].OpType;

    /// <summary>The nodes, in running order.</summary>
    public IReadOnlyList<NodeProto> Nodes => nodes;

    /// <summary>The longest chain that starts with a node; null when there is none of two nodes.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="types">Ranks tell which dimension a constant goes along.</param>
    /// <param name="first">Its first node.</param>
    /// <param name="form">The int8 form of a node that may be part of it; null otherwise.</param>
    public static ElementwiseChain? Find(GraphIndex graph, ValueTypes types, NodeProto first, Func<NodeProto, QuantOperator?> form)
    {
        string[] variables = [.. first.Input.Where(v => v.Length > 0 && graph.Constant(v) is null).Distinct()];
        if (variables is not [string variable] || types[variable] is not { Rank: > 0 } type)
            return null;
        List<NodeProto> nodes = [];
        List<QuantOperator> operators = [];
        Func<int, float, float> function = (_, x) => x, onnxFunction = function;
        int channels = 1, lastFunction = 0;
        for (NodeProto? node = first; node is not null; node = graph.OnlyConsumer(node.Output[0]))
        {
            string? before = nodes.Count > 0 ? nodes[^1].Output[0] : null;
            // The value itself may come in again, as in x * Sigmoid(x): it is the second operand of the step.
            if (form(node) is not QuantOperator op || Step(graph, node, op, onnxRule: false, variable, before, type, ref channels) is not Func<int, float, float, float> step
                || Step(graph, node, op, onnxRule: true, variable, before, type, ref channels) is not Func<int, float, float, float> onnxStep)
                break;
            (Func<int, float, float> all, Func<int, float, float> onnxAll) = (function, onnxFunction);
            (function, onnxFunction) = ((c, x) => step(c, all(c, x), x), (c, x) => onnxStep(c, onnxAll(c, x), x));
            nodes.Add(node);
            operators.Add(op);
            lastFunction = op is TableOperator ? nodes.Count : lastFunction;
        }
        // Where nothing but sums and products follow, they have their own kernels.
        return nodes.Count < 2 || lastFunction == 0 ? null : new([.. nodes], variable, operators[^1], channels, function, onnxFunction);
    }

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [node.Input.IndexOf(variable)];

    public override QParams? FixedOutput(QConfig config) => last.FixedOutput(config);

    public override Int8Step? CreateStep(StepContext context)
    {
        Func<int, float, float> function = context.OnnxRule ? onnxFunction : this.function;
        if (channels == 1)
        {
            QuantizedTable table = new(context.Inputs[0], context.Output, x => function(0, x), context.OnnxRule);
            return (inputs, spent) => table.Run(inputs[0], inPlace: (spent & 1) != 0);
        }
        QuantizedChannelTable tables = new(context.Inputs[0], context.Output, channels, function, context.OnnxRule);
        return (inputs, spent) => tables.Run(inputs[0], inPlace: (spent & 1) != 0);
    }

    /// <summary>A node as a function of the channel, the value before it and the chain's own value; null for what does not fit.</summary>
    private static Func<int, float, float, float>? Step(GraphIndex graph, NodeProto node, QuantOperator op, bool onnxRule, string variable, string? before, Execution.ValueType type,
        ref int channels)
    {
        string current = before ?? variable;
        if (op is TableOperator table)
        {
            Func<float, float> function = table.FunctionOf(node, onnxRule);
            return node.Input[0] == current ? (_, y, _) => function(y) : null;
        }
        if (op.RangeOf(graph, node) is ActivationRange range)
            return node.Input[0] == current ? (_, y, _) => MathF.Min(MathF.Max(y, range.Low), range.High) : null;
        if (op is not (Add or Mul) || Other(node, current) is not string other)
            return null;
        bool adds = op is Add;
        if (other == variable && before is not null)
            return adds ? (_, y, x) => y + x : (_, y, x) => y * x;
        if (graph.Constant(other) is not TensorProto constant || ChannelsOf(constant, type) is not int count || (count > 1 && channels > 1 && count != channels))
            return null;
        float[] values = constant.ToFloats();
        channels = Math.Max(channels, count);
        return (adds, count > 1) switch
        {
            (true, true) => (c, y, _) => y + values[c],
            (true, false) => (_, y, _) => y + values[0],
            (false, true) => (c, y, _) => y * values[c],
            (false, false) => (_, y, _) => y * values[0],
        };
    }

    private static string? Other(NodeProto node, string value) =>
        node.Input.Count != 2 ? null : node.Input[0] == value ? node.Input[1] : node.Input[1] == value ? node.Input[0] : null;

    /// <summary>1 for a constant of one element, the number of channels for one along dimension 1; null for any other shape.</summary>
    private static int? ChannelsOf(TensorProto constant, Execution.ValueType type)
    {
        if (constant.Type() != TensorProto.Types.DataType.Float || constant.Dims.Count > type.Rank)
            return null;
        if (constant.Count() == 1)
            return 1;
        int axis = 1 - (type.Rank - constant.Dims.Count);
        return type.Rank > 1 && axis >= 0 && constant.Dims[axis] == constant.Count() && type.Dims[1] == constant.Count() ? (int)constant.Count() : null;
    }
}
