using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Sizes that a Resize gives, and where in the input the pixels of its result lie.</summary>
/// <remarks>Source: onnx docs/Operators.md, Resize: x_original of x_resized by coordinate_transformation_mode; in float32, as ONNX Runtime computes it
/// (core/providers/cpu/tensor/upsamplebase.h). Operator set 10 knows asymmetric only.</remarks>
internal sealed class ResizeCoordinates
{
    private readonly float[]? scales;
    private readonly long[]? sizes;
    private readonly string transformation;

    private ResizeCoordinates(float[]? scales, long[]? sizes, string transformation) => (this.scales, this.sizes, this.transformation) = (scales, sizes, transformation);

    /// <summary>Whether the node has the inputs of operator set 11 and later, behind which there are modes.</summary>
    public static bool HasModes(NodeProto node) => node.Input.Count > 2;

    /// <summary>null where sizes are computed, or the node wants something that is left to ONNX Runtime.</summary>
    public static ResizeCoordinates? Of(NodeContext context)
    {
        NodeProto node = context.Node;
        // Operator set 10 has the scales behind the input, later ones the region of interest.
        bool modes = HasModes(node);
        string transformation = modes ? node.GetString("coordinate_transformation_mode", "half_pixel") : "asymmetric";
        if (node.GetInts("axes") is not null || node.GetString("keep_aspect_ratio_policy", "stretch") != "stretch" || node.GetInt("antialias", 0) != 0
            || transformation is not ("half_pixel" or "asymmetric" or "align_corners" or "pytorch_half_pixel"))
            return null;
        int at = modes ? 2 : 1;
        float[]? scales = context.ConstantInput(at)?.ToFloats() is { Length: > 0 } given ? given : null;
        long[]? sizes = scales is null && modes ? context.ConstantInput(3)?.ToLongs() : null;
        return scales is null && sizes is null ? null : new ResizeCoordinates(scales, sizes, transformation);
    }

    /// <summary>How many dimensions it gives sizes of.</summary>
    public int Rank => scales?.Length ?? sizes!.Length;

    /// <summary>The size of a dimension of the result.</summary>
    /// <param name="dimension">Which.</param>
    /// <param name="size">The input's.</param>
    public int Wanted(int dimension, int size) => scales is null ? checked((int)sizes![dimension]) : (int)(size * scales[dimension]);

    /// <summary>Whether a dimension keeps its size whatever that is, as far as the node tells.</summary>
    /// <param name="dimension">Which.</param>
    /// <param name="size">The input's size; -1 where it is not known.</param>
    public bool Keeps(int dimension, int size) => scales is null ? sizes![dimension] == size : scales[dimension] == 1f;

    /// <summary>Output pixels per input pixel.</summary>
    public float Scale(int dimension, int size) => scales?[dimension] ?? (float)Wanted(dimension, size) / size;

    /// <summary>Where the pixels of the result lie along a dimension of the input, which may be outside.</summary>
    public float[] Originals(int dimension, int size)
    {
        int wanted = Wanted(dimension, size);
        float scale = Scale(dimension, size);
        return [.. Enumerable.Range(0, wanted).Select(i => Original(i, scale, size, wanted))];
    }

    private float Original(int i, float scale, int size, int wanted) => transformation switch
    {
        "asymmetric" => i / scale,
        "align_corners" => wanted == 1 ? 0 : (float)i * (size - 1) / (wanted - 1),
        "pytorch_half_pixel" when wanted == 1 => 0,
        _ => (i + 0.5f) / scale - 0.5f,
    };
}
