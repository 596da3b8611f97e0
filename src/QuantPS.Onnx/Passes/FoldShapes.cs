using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>Replaces computed shapes by constants, also where sizes may vary: what a Reshape is told to keep of its own input becomes 0, a single
/// other size that may vary becomes -1. Sizes that are known become numbers. Where a Resize keeps sizes that may vary, as exporters write one of images in batches of any size, it gets scales.</summary>
/// <remarks>Follows integers through the operators that exporters compute shapes with, as
/// onnxruntime/python/tools/symbolic_shape_infer.py does; the model goes on to accept any size.</remarks>
public sealed class FoldShapes : NodePass
{
    private const int LongestShape = 64;

    public override string Name => "FoldShapes";

    public override bool TellsTypes => true;

    /// <summary>A number, or a size that varies but has a name, or neither.</summary>
    private readonly record struct Size(long? Number, string? Symbol);

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (node.Is("Reshape"))
            return RewriteTarget(context, node);
        if (node.Is("Resize"))
            return RewriteSizes(context, node);
        // A part of a shape that is known, as a constant.
        if (!(node.Is("Shape") || node.Is("Gather") || node.Is("Slice")) || context.Graph.Constant(node.Output[0]) is not null
            || context.Graph.IsOutput(node.Output[0]) || Evaluate(context, node.Output[0]) is not Size[] sizes || sizes.Any(s => s.Number is null))
            return false;
        DataType type = context.TypeOf(node.Output[0])?.ElementType ?? DataType.Undefined;
        bool scalar = node.Is("Gather") && context.Graph.ConstantInput(node, 1)!.Dims.Count == 0;
        int[] shape = scalar ? [] : [sizes.Length];
        long[] numbers = [.. sizes.Select(s => s.Number!.Value)];
        if (type is not (DataType.Int64 or DataType.Int32))
            return false;
        string[] inputs = [.. node.Input];
        context.Model.Proto.Graph.Node.Remove(node);
        context.Add(type == DataType.Int64 ? TensorProtos.Create(node.Output[0], numbers, shape)
            : TensorProtos.Create(node.Output[0], Array.ConvertAll(numbers, n => (int)n), shape));
        Forget(context, inputs);
        return true;
    }

    private static bool RewriteTarget(PassContext context, NodeProto node)
    {
        string target = GraphIndex.Input(node, 1);
        if (target.Length == 0 || context.Graph.Constant(target) is not null || node.GetInt("allowzero", 0) != 0
            || Evaluate(context, target) is not Size[] sizes)
            return false;
        string?[] own = SizesOf(context, node.Input[0])?.Select(s => s.Symbol).ToArray() ?? [];
        long[] numbers = [.. sizes.Select((s, i) => s.Number ?? (s.Symbol is not null && s.Symbol == own.ElementAtOrDefault(i) ? 0 : -1))];
        if (numbers.Count(n => n == -1) > 1)
            return false;
        node.Input[1] = context.Add(TensorProtos.Create(node.Output[0] + "_shape", numbers, [numbers.Length]));
        Forget(context, [target]);
        return true;
    }

    private static bool RewriteSizes(PassContext context, NodeProto node)
    {
        string target = GraphIndex.Input(node, 3);
        // With some modes the scale is not all that the sizes say.
        if (target.Length == 0 || context.Graph.Constant(target) is not null || context.Graph.ConstantInput(node, 2) is { } given && given.Count() > 0
            || node.GetInts("axes") is not null || node.GetString("keep_aspect_ratio_policy", "stretch") != "stretch" || node.GetString("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
            || Evaluate(context, target) is not Size[] sizes || SizesOf(context, node.Input[0]) is not Size[] own || own.Length != sizes.Length)
            return false;
        var scales = new float[sizes.Length];
        for (int d = 0; d < scales.Length; d++)
        {
            if (sizes[d].Symbol is { } symbol && symbol == own[d].Symbol)
                scales[d] = 1;
            else if (sizes[d].Number is > 0 and long wanted && own[d].Number is > 0 and long size && (long)(size * ((float)wanted / size)) == wanted)
                scales[d] = (float)wanted / size;
            else
                return false;
        }
        node.Input[2] = context.Add(TensorProtos.Create(node.Output[0] + "_scales", scales, [scales.Length]));
        node.Input.RemoveAt(3);
        Forget(context, [target]);
        return true;
    }

    private static void Forget(PassContext context, string[] values)
    {
        context.RemoveUnused(values);
        foreach (string value in values)
            context.RemoveDead(value);
    }

    /// <summary>The sizes of a value; null when not even their number is known.</summary>
    private static Size[]? SizesOf(PassContext context, string value)
    {
        if (context.Graph.Constant(value) is TensorProto constant)
            return [.. constant.Dims.Select(d => new Size(d, null))];
        return context.TypeOf(value) is not { Rank: > 0 } type ? null
            : [.. type.Dims.Select((d, i) => d >= 0 ? new Size(d, null) : new Size(null, type.Symbols.ElementAtOrDefault(i) is { Length: > 0 } symbol ? symbol : $"{value}/{i}"))];
    }

    /// <summary>The elements of a list of integers; null when even their number is not known.</summary>
    private static Size[]? Evaluate(PassContext context, string value, int depth = 0)
    {
        GraphIndex graph = context.Graph;
        if (graph.Constant(value) is TensorProto constant)
            return constant.Type() is DataType.Int64 or DataType.Int32 && constant.Dims.Count <= 1 && constant.Count() <= LongestShape
                ? [.. constant.ToLongs().Select(n => new Size(n, null))] : null;
        if (graph.Producer(value) is not NodeProto node || OnnxModel.NormalizeDomain(node.Domain).Length > 0 || depth > LongestShape)
            return null;
        switch (node.OpType)
        {
            case "Shape":
                return SizesOf(context, node.Input[0]) is Size[] all
                    ? Part(all, node.GetInt("start", 0), node.GetInt("end", long.MaxValue)) : null;
            case "Cast" when (DataType)node.GetInt("to", 0) is DataType.Int64 or DataType.Int32:
            case "Identity" or "Squeeze" or "Unsqueeze":
                return Of(0);
            case "Gather" when node.GetInt("axis", 0) == 0 && graph.ConstantInput(node, 1) is { Dims.Count: <= 1 } indices && Of(0) is Size[] from:
                long[] picked = [.. indices.ToLongs().Select(i => i < 0 ? i + from.Length : i)];
                return picked.All(i => i >= 0 && i < from.Length) ? [.. picked.Select(i => from[i])] : null;
            case "Slice" when Bound(1, "starts") is long start && Bound(2, "ends") is long end && (Number(3) ?? 0) == 0 && (Number(4) ?? 1) == 1
                && Known(3) && Known(4) && node.GetInts("axes") is null or [0]:
                return Of(0) is Size[] whole ? Part(whole, start, end) : null;
            case "Concat" when node.GetInt("axis", 0) is 0 or -1:
                Size[]?[] parts = [.. node.Input.Select((_, i) => Of(i))];
                return parts.All(p => p is not null) ? [.. parts.SelectMany(p => p!)] : null;
            case "Add" or "Sub" or "Mul" or "Div" when Of(0) is Size[] a && Of(1) is Size[] b && (a.Length == b.Length || a.Length == 1 || b.Length == 1):
                return [.. Enumerable.Range(0, Math.Max(a.Length, b.Length)).Select(i => Combine(node.OpType, a[a.Length == 1 ? 0 : i], b[b.Length == 1 ? 0 : i]))];
            default:
                return null;
        }

        Size[]? Of(int input) => Evaluate(context, node.Input[input], depth + 1);

        long? Number(int input) => graph.ConstantInput(node, input) is TensorProto t && t.ToLongs() is [long n] ? n : null;

        // Until opset 9 they are attributes.
        long? Bound(int input, string attribute) =>
            node.Input.Count > 1 ? Number(input) : node.Attribute.FirstOrDefault(a => a.Name == attribute)?.Ints is [long n] ? n : null;

        bool Known(int input) => GraphIndex.Input(node, input).Length == 0 || Number(input) is not null;
    }

    private static Size[] Part(Size[] all, long start, long end)
    {
        long from = Math.Clamp(start < 0 ? start + all.Length : start, 0, all.Length), to = Math.Clamp(end < 0 ? end + all.Length : end, from, all.Length);
        return all[(int)from..(int)to];
    }

    private static Size Combine(string opType, Size a, Size b) => (opType, a.Number, b.Number) switch
    {
        ("Add", long x, long y) => new Size(x + y, null),
        ("Sub", long x, long y) => new Size(x - y, null),
        ("Mul", long x, long y) => new Size(x * y, null),
        ("Div", long x, long y) when y != 0 => new Size(x / y, null),
        _ => default,
    };
}
