using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>A model that is being rewritten, and what passes ask of it.</summary>
public sealed class PassContext
{
    private static readonly QuantOperator[] Limits = [new Relu(), new Clip()];

    private Lazy<ValueTypes> types;

    /// <param name="model">The model; changed in place.</param>
    public PassContext(OnnxModel model)
    {
        Model = model;
        types = new Lazy<ValueTypes>(() => ValueTypes.Infer(model));
    }

    public OnnxModel Model { get; }

    /// <summary>The index of the graph as it is now.</summary>
    public GraphIndex Graph => Model.Graph;

    /// <summary>The type of a value; null when it is not known. A rewrite keeps the types of the values that survive it.</summary>
    public Execution.ValueType? TypeOf(string value) => types.Value[value];

    /// <summary>Has the types inferred anew: more constants may tell more of them.</summary>
    public void RefreshTypes() => types = new Lazy<ValueTypes>(() => ValueTypes.Infer(Model));

    /// <summary>Number of dimensions of a value; null when it is not known.</summary>
    public int? RankOf(string value) => Graph.Constant(value)?.Dims.Count ?? (TypeOf(value) is { Rank: > 0 } type ? type.Rank : null);

    public bool Holds(NodeProto node) => node.Output.Count > 0 && ReferenceEquals(Graph.Producer(node.Output[0]), node);

    /// <summary>Whether nodes of this operator set may be written: the model is lifted to it if it must be and can be.</summary>
    public bool Allows(int opset) => OpsetRaiser.TryRaise(Model, opset, types);

    /// <summary>The node that makes a value, if it is of this operator and nothing else takes the value.</summary>
    public NodeProto? OnlyFor(NodeProto consumer, string value, string opType) =>
        Graph.Producer(value) is NodeProto node && node.Is(opType) && ReferenceEquals(Graph.OnlyConsumer(value), consumer) ? node : null;

    /// <summary>A float constant of one element that leaves the shape of what it is combined with as it is; null for anything else.</summary>
    public float? Scalar(string constant, string besides) =>
        Graph.Constant(constant) is TensorProto t && IsReal(t.Type()) && t.Dims.All(d => d == 1) && (t.Dims.Count == 0 || t.Dims.Count <= RankOf(besides))
            ? t.ToScalar() : null;

    /// <summary>Takes a node apart into a value and a scalar constant.</summary>
    /// <param name="node">Add, Mul, Sub, Div, Pow...</param>
    /// <param name="opType">What it should be. Add and Mul take their operands in any order.</param>
    public (string Value, float Constant)? WithScalar(NodeProto node, string opType)
    {
        if (!node.Is(opType))
            return null;
        if (Scalar(node.Input[1], node.Input[0]) is float second)
            return (node.Input[0], second);
        return opType is "Add" or "Mul" && Scalar(node.Input[0], node.Input[1]) is float first ? (node.Input[1], first) : null;
    }

    /// <summary>A multiplication by a constant, also when it is written as a division.</summary>
    public (string Value, float Factor)? Scaled(NodeProto node) =>
        WithScalar(node, "Mul") ?? (WithScalar(node, "Div") is var (value, divisor) && divisor != 0 ? (value, 1f / divisor) : null);

    /// <summary>The other operand of a commutative node, when one operand is this value.</summary>
    public static string? Other(NodeProto node, string value) =>
        node.Input.Count != 2 ? null : node.Input[0] == value ? node.Input[1] : node.Input[1] == value ? node.Input[0] : null;

    /// <summary>What limits a value to a range: Clip, Relu, Max and Min with a constant, also one behind the other.</summary>
    /// <param name="consumer">The only taker of the value.</param>
    /// <param name="value">The limited value.</param>
    /// <returns>The value before, the range and the nodes; null when nothing limits it.</returns>
    public (string Value, ActivationRange Range, NodeProto[] Nodes)? Limited(NodeProto consumer, string value)
    {
        List<NodeProto> nodes = [];
        ActivationRange range = ActivationRange.All;
        while (Graph.Producer(value) is NodeProto node && ReferenceEquals(Graph.OnlyConsumer(value), consumer) && RangeOf(node) is var (before, own))
        {
            nodes.Add(node);
            // The later one has the last word; within its limits the earlier ones' hold.
            range = nodes.Count == 1 ? own : new ActivationRange(Math.Clamp(own.Low, range.Low, range.High), Math.Clamp(own.High, range.Low, range.High));
            (consumer, value) = (node, before);
        }
        return nodes.Count > 0 ? (value, range, [.. nodes]) : null;
    }

    /// <summary>Puts a node in the place of others and takes away the constants that only these used.</summary>
    /// <param name="old">The nodes; the last in running order is the one whose output the new node makes.</param>
    /// <param name="replacement">The new node.</param>
    public void Replace(IReadOnlyList<NodeProto> old, NodeProto replacement)
    {
        Google.Protobuf.Collections.RepeatedField<NodeProto> nodes = Model.Proto.Graph.Node;
        int last = old.Max(nodes.IndexOf);
        nodes.Insert(last + 1, replacement);
        Remove(old);
    }

    /// <summary>Takes nodes out of the graph, and the constants that only these used.</summary>
    public void Remove(IReadOnlyList<NodeProto> nodes)
    {
        foreach (NodeProto node in nodes)
            Model.Proto.Graph.Node.Remove(node);
        RemoveUnused(nodes.SelectMany(GraphIndex.InputsOf));
    }

    /// <summary>Takes constants out of the graph when nothing uses them any more.</summary>
    public void RemoveUnused(IEnumerable<string> candidates)
    {
        GraphProto graph = Model.Proto.Graph;
        // A constant may be made of another one.
        for (string[] names = [.. candidates.Distinct()]; names.Length > 0;)
        {
            Model.Invalidate();
            HashSet<string> unused = [.. names.Where(c => Graph.Constant(c) is not null && Graph.Consumers(c).Count == 0 && !Graph.IsOutput(c))];
            NodeProto[] dead = [.. unused.Select(Graph.Producer).OfType<NodeProto>()];
            foreach (NodeProto node in dead)
                graph.Node.Remove(node);
            Take(graph.Initializer, t => unused.Contains(t.Name));
            // Up to IR version 3 initializers are listed among the inputs.
            if (graph.Input.Any(i => !unused.Contains(i.Name)))
                Take(graph.Input, i => unused.Contains(i.Name));
            names = [.. dead.SelectMany(GraphIndex.InputsOf).Distinct()];
        }
        Model.Invalidate();
    }

    /// <summary>Takes the node that makes a value out of the graph when nothing uses its results any more, and what only that one used.</summary>
    public void RemoveDead(string value)
    {
        if (Graph.Producer(value) is not NodeProto node || node.Output.Any(o => o.Length > 0 && (Graph.IsOutput(o) || Graph.Consumers(o).Count > 0)))
            return;
        string[] inputs = [.. GraphIndex.InputsOf(node).Distinct()];
        Remove([node]);
        foreach (string input in inputs)
            RemoveDead(input);
    }

    /// <summary>Adds an initializer under a name that is free.</summary>
    /// <returns>Its name.</returns>
    public string Add(TensorProto tensor)
    {
        tensor.Name = FreeName(tensor.Name);
        Model.Proto.Graph.Initializer.Add(tensor);
        Model.Proto.IrVersion = Math.Max(Model.Proto.IrVersion, OnnxModel.FirstIrWithFreeInitializers);
        Model.Invalidate();
        return tensor.Name;
    }

    /// <summary>A name that no value of the graph has yet.</summary>
    public string FreeName(string wanted)
    {
        GraphProto graph = Model.Proto.Graph;
        HashSet<string> taken = [.. graph.Initializer.Select(t => t.Name), .. graph.Input.Select(v => v.Name), .. graph.Node.SelectMany(n => n.Output),
            .. graph.Node.SelectMany(TensorWalk.BodiesOf).SelectMany(TensorWalk.GraphsOf).SelectMany(g => g.Node.SelectMany(n => n.Output))];
        string name = wanted;
        for (int i = 1; taken.Contains(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }

    public static bool IsReal(DataType type) => type is DataType.Float or DataType.Float16 or DataType.Double or DataType.Bfloat16;

    /// <summary>Equal up to the rounding of a constant.</summary>
    public static bool Near(float a, float b) => MathF.Abs(a - b) <= 2e-6f * MathF.Max(MathF.Abs(a), MathF.Abs(b));

    private (string Value, ActivationRange Range)? RangeOf(NodeProto node)
    {
        if (Limits.FirstOrDefault(l => node.Is(l.OpType))?.RangeOf(Graph, node) is ActivationRange range)
            return range.Low <= range.High ? (node.Input[0], range) : null;
        foreach (string opType in (string[])["Max", "Min"])
        {
            if (!node.Is(opType) || node.Input.Count != 2)
                continue;
            int constant = Graph.Constant(node.Input[1]) is null ? 0 : 1;
            if (Scalar(node.Input[constant], node.Input[1 - constant]) is float limit)
                return (node.Input[1 - constant], opType == "Max" ? ActivationRange.All with { Low = limit } : ActivationRange.All with { High = limit });
        }
        return null;
    }

    private static void Take<T>(Google.Protobuf.Collections.RepeatedField<T> list, Func<T, bool> which)
    {
        for (int i = list.Count - 1; i >= 0; i--)
        {
            if (which(list[i]))
                list.RemoveAt(i);
        }
    }
}
