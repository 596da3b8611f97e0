using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Export;

/// <summary>Lifts a model to a newer standard operator set: attributes that became inputs are moved, operators that became others replaced;
/// where there is no such way, it refuses. The bodies of If, Loop and Scan are lifted too.</summary>
/// <remarks>Source: onnx docs/Changelog.md, versions 7 to 21. Operators without a line here mean the same throughout.</remarks>
internal sealed class OpsetRaiser
{
    /// <summary>Before it, arithmetic did not broadcast by itself.</summary>
    private const int Oldest = 7;

    /// <summary>Since then Softmax works along one axis alone.</summary>
    private const int SoftmaxAlongOneAxis = 13;

    /// <summary>Since then Resize can do what Upsample and the first Resize did.</summary>
    private const int GeneralResize = 11;

    /// <summary>IR versions that came with operator sets. Source: onnx/helper.py VERSION_TABLE.</summary>
    private static readonly (int Opset, int Ir)[] IrVersions = [(8, 3), (9, 4), (10, 5), (11, 6), (12, 7), (15, 8), (19, 9), (21, 10)];

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
        ["ReduceMean"] = (18, ["axes"]),
        ["ReduceMax"] = (18, ["axes"]),
        ["ReduceMin"] = (18, ["axes"]),
        ["ReduceProd"] = (18, ["axes"]),
        ["ReduceL1"] = (18, ["axes"]),
        ["ReduceL2"] = (18, ["axes"]),
        ["ReduceLogSum"] = (18, ["axes"]),
        ["ReduceLogSumExp"] = (18, ["axes"]),
        ["ReduceSumSquare"] = (18, ["axes"]),
    };

    /// <summary>Attributes of float that have the type of the node's first input once they are inputs.</summary>
    private static readonly HashSet<string> TypedLikeInput = ["min", "max", "value"];

    /// <summary>Operators that changed otherwise: since when, and what makes a node of before one of since; false where nothing does.</summary>
    private static readonly (string OpType, int Since, Func<OpsetRaiser, GraphProto, NodeProto, bool> Change)[] Changed =
    [
        ("Scan", 9, (_, _, _) => false),
        ("BatchNormalization", 9, (_, _, n) => n.GetInt("spatial", 1) == 1 && Remove(n, "spatial")),
        ("BatchNormalization", 14, (_, _, n) => n.Output.Skip(1).All(o => o.Length == 0)),
        ("Upsample", 10, (r, g, n) => r.ToResize(g, n)),
        ("Resize", 11, (r, g, n) => r.ToResize(g, n)),
        ("Scatter", 11, (_, _, n) => Rename(n, "ScatterElements")),
        ("Softmax", SoftmaxAlongOneAxis, (r, g, n) => r.AlongOneAxis(g, n)),
        ("LogSoftmax", SoftmaxAlongOneAxis, (r, g, n) => r.AlongOneAxis(g, n)),
        ("Hardmax", SoftmaxAlongOneAxis, (r, g, n) => r.AlongOneAxis(g, n)),
        ("Resize", 13, (_, _, n) => n.GetString("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn"),
        ("RoiAlign", 16, (_, _, n) => Default(n, Nodes.Attribute("coordinate_transformation_mode", "output_half_pixel"))),
        ("Split", 18, (_, _, n) => GraphIndex.Input(n, 1).Length > 0 || Default(n, Nodes.Attribute("num_outputs", (long)n.Output.Count))),
        ("GridSample", 20, (_, _, n) => RenameMode(n)),
        ("DFT", 20, (_, _, _) => false),
        ("GroupNormalization", 21, (_, _, _) => false),
    ];

    private readonly int opset, target;
    private readonly Lazy<ValueTypes> types;
    private readonly HashSet<string> taken;
    private readonly bool mayInsert;
    private readonly List<string> inTheWay = [];

    private OpsetRaiser(OnnxModel model, int target, Lazy<ValueTypes> types, bool mayInsert)
    {
        (opset, this.target, this.types, this.mayInsert) = (model.Opset, target, types, mayInsert);
        GraphProto[] graphs = [.. TensorWalk.GraphsOf(model.Proto.Graph)];
        taken = [.. graphs.SelectMany(g => g.Node.SelectMany(n => n.Input.Concat(n.Output)).Concat(g.Input.Concat(g.Output).Select(v => v.Name))
            .Concat(g.Initializer.Select(t => t.Name)))];
        foreach (GraphProto graph in graphs)
        {
            foreach (NodeProto node in graph.Node.Where(n => OnnxModel.NormalizeDomain(n.Domain).Length == 0).ToArray())
                Lift(graph, node);
        }
    }

    /// <summary>Rewrites the model in place, node by node; does nothing when it already is that new.</summary>
    /// <exception cref="QuantException">UnsupportedOperator, naming the nodes in the way; the model is as it was.</exception>
    public static void Raise(OnnxModel model, int target, ValueTypes types)
    {
        if (Problem(model, target, new Lazy<ValueTypes>(types), mayInsert: false) is string problem)
        {
            throw new QuantException(ErrorIds.UnsupportedOperator,
                $"'{model.Name}' uses operator set {model.Opset}; quantized models need {target}, {problem}.", model.Path ?? model.Name);
        }
    }

    /// <summary>Rewrites the model in place, also by further nodes. False where it cannot be done; then the model is as it was.</summary>
    public static bool TryRaise(OnnxModel model, int target, Lazy<ValueTypes> types) => Problem(model, target, types, mayInsert: true) is null;

    private static string? Problem(OnnxModel model, int target, Lazy<ValueTypes> types, bool mayInsert)
    {
        if (model.Opset >= target)
            return null;
        if (model.Opset < Oldest)
            return $"and only models from {Oldest} on can be lifted. Export the model again with a newer opset";
        if (model.Proto.Functions.Any(f => f.OpsetImport.Any(o => OnnxModel.NormalizeDomain(o.Domain).Length == 0 && o.Version < target)))
            return $"but its functions are written for an older one. Export the model again with opset {target} or newer";
        // First a copy: all or nothing.
        OpsetRaiser trial = new(model.Clone(), target, types, mayInsert);
        if (trial.inTheWay.Count > 0)
        {
            return $"where these nodes mean something else: {string.Join(", ", trial.inTheWay)}. Export the model again with opset {target} or newer";
        }
        _ = new OpsetRaiser(model, target, types, mayInsert);
        model.Proto.OpsetImport.First(o => OnnxModel.NormalizeDomain(o.Domain).Length == 0).Version = target;
        model.Proto.IrVersion = Math.Max(model.Proto.IrVersion, IrVersions.Last(v => v.Opset <= target).Ir);
        model.Invalidate();
        return null;
    }

    private void Lift(GraphProto graph, NodeProto node)
    {
        if (Moved.TryGetValue(node.OpType, out (int Since, string[] Attributes) move) && Crosses(move.Since) && !MoveAttributes(graph, node, move.Attributes))
            inTheWay.Add($"{GraphIndex.DisplayName(node)} ({node.OpType})");
        // What becomes another operator becomes that one of the target's set.
        string was = node.OpType;
        foreach ((string opType, int since, Func<OpsetRaiser, GraphProto, NodeProto, bool> change) in Changed)
        {
            if (was == opType && Crosses(since) && !change(this, graph, node))
                inTheWay.Add($"{GraphIndex.DisplayName(node)} ({node.OpType})");
        }
    }

    private bool Crosses(int since) => opset < since && target >= since;

    /// <summary>Until opset 12 all dimensions from the axis on were taken together, by default from 1; since then only the axis itself. What is
    /// not the last axis is flattened for it.</summary>
    private bool AlongOneAxis(GraphProto graph, NodeProto node)
    {
        long axis = node.GetInt("axis", 1);
        Remove(node, "axis");
        // Written out: the default was another before.
        node.Attribute.Add(Nodes.Attribute("axis", -1L));
        if (axis == -1 || (types.Value[node.Input[0]]?.Rank is int rank and > 0 && axis == rank - 1))
            return true;
        if (!mayInsert)
            return false;
        string input = node.Input[0], output = node.Output[0];
        string shape = FreeName(output + "_shape"), flat = FreeName(output + "_flat"), result = FreeName(output + "_result");
        int at = graph.Node.IndexOf(node);
        graph.Node.Insert(at, Nodes.Create("Shape", shape, [input], [shape]));
        graph.Node.Insert(at + 1, Nodes.Create("Flatten", flat, [input], [flat], Nodes.Attribute("axis", axis)));
        graph.Node.Insert(at + 3, Nodes.Create("Reshape", result + "_Reshape", [result, shape], [output]));
        node.Input[0] = flat;
        node.Output[0] = result;
        return true;
    }

    /// <summary>Upsample and the first Resize took the pixel at floor(x / scale), or between it and the next.</summary>
    /// <remarks>When it makes smaller, ONNX Runtime takes the next pixel instead: onnxruntime/core/providers/cpu/tensor/upsamplebase.h,
    /// NearestMode SIMPLE.</remarks>
    private bool ToResize(GraphProto graph, NodeProto node)
    {
        // Resize had a version before 11 that looked like Upsample; from Upsample it may be a long way.
        if (target < GeneralResize)
            return node.OpType == "Resize";
        string scales = GraphIndex.Input(node, 1);
        float[]? known = node.Attribute.FirstOrDefault(a => a.Name == "scales")?.Floats.ToArray()
            ?? graph.Initializer.FirstOrDefault(t => t.Name == scales)?.ToFloats()
            ?? graph.Node.FirstOrDefault(n => n.Is("Constant") && n.Output[0] == scales)?.Attribute.FirstOrDefault(a => a.Name == "value")?.T?.ToFloats();
        bool nearest = node.GetString("mode", "nearest") == "nearest";
        if (known is null ? nearest : nearest && known.Any(s => s < 1) && known.Any(s => s > 1))
            return false;
        if (scales.Length == 0)
        {
            if (known is null)
                return false;
            scales = FreeName(node.Output[0] + "_scales");
            graph.Initializer.Add(TensorProtos.Create(scales, known, [known.Length]));
        }
        string data = node.Input[0];
        node.OpType = "Resize";
        node.Input.Clear();
        node.Input.AddRange([data, EmptyRoi(graph), scales]);
        Remove(node, "scales");
        node.Attribute.Add(Nodes.Attribute("coordinate_transformation_mode", "asymmetric"));
        if (nearest)
            node.Attribute.Add(Nodes.Attribute("nearest_mode", known!.Any(s => s < 1) ? "ceil" : "floor"));
        return true;
    }

    /// <summary>Resize may go without it only since opset 13.</summary>
    private string EmptyRoi(GraphProto graph)
    {
        if (target >= 13)
            return "";
        string roi = FreeName("roi");
        graph.Initializer.Add(TensorProtos.Create(roi, ReadOnlySpan<float>.Empty, [0]));
        return roi;
    }

    private bool MoveAttributes(GraphProto graph, NodeProto node, string[] names)
    {
        foreach ((int index, string name) in names.Index())
        {
            AttributeProto? a = node.Attribute.FirstOrDefault(x => x.Name == name);
            while (node.Input.Count <= index + 1)
                node.Input.Add("");
            if (a is null)
                continue;
            string constant = FreeName($"{node.Output[0]}_{name}");
            TensorProto? value = a.Type switch
            {
                AttributeProto.Types.AttributeType.Float when TypedLikeInput.Contains(name) => Typed(constant, a.F, types.Value[node.Input[0]]?.ElementType),
                AttributeProto.Types.AttributeType.Float => TensorProtos.Create(constant, [a.F], []),
                AttributeProto.Types.AttributeType.Int => TensorProtos.Create(constant, [a.I], [1]),
                _ => TensorProtos.Create(constant, a.Ints.ToArray(), [a.Ints.Count]),
            };
            if (value is null)
                return false;
            graph.Initializer.Add(value);
            node.Input[index + 1] = constant;
            node.Attribute.Remove(a);
        }
        while (node.Input[^1].Length == 0)
            node.Input.RemoveAt(node.Input.Count - 1);
        return true;
    }

    /// <summary>A scalar of a float type; null for a type that is not known.</summary>
    private static TensorProto? Typed(string name, float value, DataType? type) => type switch
    {
        DataType.Float => TensorProtos.Create(name, [value], []),
        DataType.Double => TensorProtos.Create(name, DataType.Double, BitConverter.GetBytes((double)value), []),
        DataType.Float16 => TensorProtos.Create(name, DataType.Float16, BitConverter.GetBytes((Half)value), []),
        _ => null,
    };

    private string FreeName(string wanted)
    {
        string name = wanted;
        for (int i = 1; !taken.Add(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }

    private static bool RenameMode(NodeProto node)
    {
        string mode = node.GetString("mode", "bilinear");
        Remove(node, "mode");
        node.Attribute.Add(Nodes.Attribute("mode", mode switch { "bilinear" => "linear", "bicubic" => "cubic", _ => mode }));
        return true;
    }

    private static bool Rename(NodeProto node, string opType)
    {
        node.OpType = opType;
        return true;
    }

    /// <summary>Writes a default out where the node relies on it.</summary>
    private static bool Default(NodeProto node, AttributeProto attribute)
    {
        if (!node.Attribute.Any(a => a.Name == attribute.Name))
            node.Attribute.Add(attribute);
        return true;
    }

    private static bool Remove(NodeProto node, string attribute)
    {
        if (node.Attribute.FirstOrDefault(a => a.Name == attribute) is AttributeProto a)
            node.Attribute.Remove(a);
        return true;
    }
}
