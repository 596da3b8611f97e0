using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Which pixel of the input each one of a Resize by nearest neighbours is.</summary>
/// <remarks>Source: onnx docs/Operators.md, Resize: x_original of x_resized by coordinate_transformation_mode, then rounded by nearest_mode; in float32, as ONNX
/// Runtime computes it (core/providers/cpu/tensor/upsamplebase.h). Operator set 10 knows asymmetric and floor only.</remarks>
internal sealed class NearestResize
{
    private readonly float[]? scales;
    private readonly long[]? sizes;
    private readonly string transformation, rounding;

    private NearestResize(float[]? scales, long[]? sizes, string transformation, string rounding) =>
        (this.scales, this.sizes, this.transformation, this.rounding) = (scales, sizes, transformation, rounding);

    /// <summary>null where sizes are computed, or the node wants something that is left to ONNX Runtime.</summary>
    public static NearestResize? Of(NodeContext context)
    {
        NodeProto node = context.Node;
        // Operator set 10 has the scales behind the input, later ones the region of interest.
        bool modes = node.Input.Count > 2;
        string transformation = modes ? node.GetString("coordinate_transformation_mode", "half_pixel") : "asymmetric";
        string rounding = modes ? node.GetString("nearest_mode", "round_prefer_floor") : "floor";
        if (node.GetInts("axes") is not null || node.GetString("keep_aspect_ratio_policy", "stretch") != "stretch" || node.GetInt("antialias", 0) != 0
            || transformation is not ("half_pixel" or "asymmetric" or "align_corners" or "pytorch_half_pixel"))
            return null;
        int at = modes ? 2 : 1;
        float[]? scales = context.ConstantInput(at)?.ToFloats() is { Length: > 0 } given ? given : null;
        long[]? sizes = scales is null && modes ? context.ConstantInput(3)?.ToLongs() : null;
        return scales is null && sizes is null ? null : new NearestResize(scales, sizes, transformation, rounding);
    }

    /// <summary>A list per dimension; null where nothing changes.</summary>
    public int[]?[] Positions(ReadOnlySpan<int> shape)
    {
        var positions = new int[]?[shape.Length];
        for (int d = 0; d < positions.Length; d++)
        {
            int size = shape[d], wanted = scales is null ? checked((int)sizes![d]) : (int)(size * scales[d]);
            float scale = scales?[d] ?? (float)wanted / size;
            if (wanted == size && scale == 1f)
                continue;
            positions[d] = [.. Enumerable.Range(0, wanted).Select(i => Math.Clamp(Nearest(Original(i, scale, size, wanted)), 0, size - 1))];
        }
        return positions;
    }

    private float Original(int i, float scale, int size, int wanted) => transformation switch
    {
        "asymmetric" => i / scale,
        "align_corners" => wanted == 1 ? 0 : (float)i * (size - 1) / (wanted - 1),
        "pytorch_half_pixel" when wanted == 1 => 0,
        _ => (i + 0.5f) / scale - 0.5f,
    };

    private int Nearest(float x) => rounding switch
    {
        "floor" => (int)MathF.Floor(x),
        "ceil" => (int)MathF.Ceiling(x),
        "round_prefer_ceil" => (int)MathF.Floor(x + 0.5f),
        _ => (int)MathF.Ceiling(x - 0.5f),
    };
}
