using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Export;

/// <summary>Lifts a model to a newer standard operator set: attributes that became inputs are moved; where the meaning changed, it refuses.</summary>
/// <remarks>Source: onnx docs/Changelog.md, versions 7 to 13. Operators without a line here mean the same throughout.</remarks>
internal static class OpsetRaiser
{
    /// <summary>Before it, arithmetic did not broadcast by itself.</summary>
    private const int Oldest = 7;

    /// <summary>IR version that came with opset 13.</summary>
    private const int IrOfOpset13 = 7;

    /// <summary>Attributes that became inputs: since when, and which (in the order of the inputs, from 1).</summary>
    private static readonly Dictionary<string, (int Since, string[] Attributes)> Moved = new(StringComparer.Ordinal)
    {
        ["Slice"] = (10, ["starts", "ends", "axes"]),
        ["TopK"] = (10, ["k"]),
        ["Clip"] = (11, ["min", "max"]),
        ["Pad"] = (11, ["pads", "value"]),
        ["Dropout"] = (12, ["ratio"]),
        ["Squeeze"] = (13, ["axes"]),
        ["Unsqueeze"] = (13, ["axes"]),
        ["ReduceSum"] = (13, ["axes"]),
        ["Split"] = (13, ["split"]),
    };

    /// <summary>Operators whose meaning changed: since when, and whether this node means the same before and after.</summary>
    private static readonly Dictionary<string, (int Since, Func<NodeProto, ValueTypes, bool> Same)> Changed = new(StringComparer.Ordinal)
    {
        ["Scan"] = (9, (_, _) => false),
        ["BatchNormalization"] = (9, (n, _) => n.GetInt("spatial", 1) == 1),
        ["Upsample"] = (10, (_, _) => false),
        ["Resize"] = (11, (_, _) => false),
        ["Softmax"] = (13, OverLastAxis),
        ["LogSoftmax"] = (13, OverLastAxis),
        ["Hardmax"] = (13, OverLastAxis),
    };

    /// <summary>Rewrites the model in place; does nothing when it already is that new.</summary>
    /// <exception cref="QuantException">UnsupportedOperator, naming the nodes in the way.</exception>
    public static void Raise(OnnxModel model, int target, ValueTypes types)
    {
        int opset = model.Opset;
        if (opset >= target)
            return;
        if (opset < Oldest)
            throw new QuantException(ErrorIds.UnsupportedOperator,
                $"'{model.Name}' uses operator set {opset}; quantized models need {target}, "
                + $"and only models from {Oldest} on can be lifted. Export the model again with a newer opset.", model.Path ?? model.Name);
        NodeProto[] nodes = [.. model.Proto.Graph.Node];
        string[] inTheWay = [.. nodes.Where(n => !CanRaise(n, opset, target, types)).Select(n => $"{GraphIndex.DisplayName(n)} ({n.OpType})")];
        if (inTheWay.Length > 0)
            throw new QuantException(ErrorIds.UnsupportedOperator,
                $"'{model.Name}' uses operator set {opset}; quantized models need {target}, where these nodes mean something else: "
                + $"{string.Join(", ", inTheWay)}. Export the model again with opset {target} or newer.", model.Path ?? model.Name);
        foreach (NodeProto node in nodes.Where(n => OnnxModel.NormalizeDomain(n.Domain).Length == 0))
        {
            if (Moved.TryGetValue(node.OpType, out (int Since, string[] Attributes) move) && opset < move.Since && target >= move.Since)
                MoveAttributes(model.Proto.Graph, node, move.Attributes);
            // Written out, so that the new default does not apply.
            if (Changed.TryGetValue(node.OpType, out var change) && change.Same == OverLastAxis && opset < change.Since)
                SetAxis(node);
            if (node.OpType == "BatchNormalization")
                Remove(node, "spatial");
        }
        model.Proto.OpsetImport.First(o => OnnxModel.NormalizeDomain(o.Domain).Length == 0).Version = target;
        model.Proto.IrVersion = Math.Max(model.Proto.IrVersion, IrOfOpset13);
        model.Invalidate();
    }

    private static bool CanRaise(NodeProto node, int opset, int target, ValueTypes types)
    {
        // The bodies of If, Loop and Scan keep their own values; what would have to be rewritten there is refused.
        if (node.Attribute.SelectMany(a => a.G is null ? a.Graphs : a.Graphs.Prepend(a.G)).SelectMany(g => g.Node)
            .Any(n => Concerned(n, opset, target) || !CanRaise(n, opset, target, types)))
            return false;
        return OnnxModel.NormalizeDomain(node.Domain).Length > 0 || !Changed.TryGetValue(node.OpType, out var change)
            || opset >= change.Since || target < change.Since || change.Same(node, types);
    }

    private static bool Concerned(NodeProto node, int opset, int target) =>
        OnnxModel.NormalizeDomain(node.Domain).Length == 0 && Moved.TryGetValue(node.OpType, out var move) && opset < move.Since
            && target >= move.Since;

    /// <summary>Until opset 12 all dimensions from the axis on were taken together, by default from 1; since then only the axis itself, by
    /// default the last.</summary>
    private static bool OverLastAxis(NodeProto node, ValueTypes types)
    {
        long axis = node.GetInt("axis", 1);
        return axis == -1 || (types[node.Input[0]]?.Rank is int rank and > 0 && axis == rank - 1);
    }

    private static void SetAxis(NodeProto node)
    {
        Remove(node, "axis");
        node.Attribute.Add(Nodes.Attribute("axis", -1L));
    }

    private static void MoveAttributes(GraphProto graph, NodeProto node, string[] names)
    {
        foreach ((int index, string name) in names.Index())
        {
            AttributeProto? a = node.Attribute.FirstOrDefault(x => x.Name == name);
            while (node.Input.Count <= index + 1)
                node.Input.Add("");
            if (a is null)
                continue;
            string constant = $"{node.Output[0]}_{name}";
            graph.Initializer.Add(a.Type switch
            {
                AttributeProto.Types.AttributeType.Float => TensorProtos.Create(constant, [a.F], []),
                AttributeProto.Types.AttributeType.Int => TensorProtos.Create(constant, [a.I], [1]),
                _ => TensorProtos.Create(constant, a.Ints.ToArray(), [a.Ints.Count]),
            });
            node.Input[index + 1] = constant;
            node.Attribute.Remove(a);
        }
        while (node.Input[^1].Length == 0)
            node.Input.RemoveAt(node.Input.Count - 1);
    }

    private static void Remove(NodeProto node, string attribute)
    {
        if (node.Attribute.FirstOrDefault(a => a.Name == attribute) is AttributeProto a)
            node.Attribute.Remove(a);
    }
}
