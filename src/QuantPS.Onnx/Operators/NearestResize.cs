using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Which pixel of the input each one of a Resize by nearest neighbours is.</summary>
/// <remarks>Source: onnx docs/Operators.md, Resize: x_original, see <see cref="ResizeCoordinates"/>, rounded by nearest_mode. Operator set 10 knows floor only.</remarks>
internal sealed class NearestResize
{
    private readonly ResizeCoordinates coordinates;
    private readonly string rounding;

    private NearestResize(ResizeCoordinates coordinates, string rounding) => (this.coordinates, this.rounding) = (coordinates, rounding);

    /// <summary>null where sizes are computed, or the node wants something that is left to ONNX Runtime.</summary>
    public static NearestResize? Of(NodeContext context)
    {
        NodeProto node = context.Node;
        return ResizeCoordinates.Of(context) is { } coordinates
            ? new NearestResize(coordinates, ResizeCoordinates.HasModes(node) ? node.GetString("nearest_mode", "round_prefer_floor") : "floor") : null;
    }

    /// <summary>A list per dimension; null where nothing changes.</summary>
    public int[]?[] Positions(ReadOnlySpan<int> shape)
    {
        var positions = new int[]?[shape.Length];
        for (int d = 0; d < positions.Length; d++)
        {
            int size = shape[d];
            if (coordinates.Wanted(d, size) == size && coordinates.Scale(d, size) == 1f)
                continue;
            positions[d] = Array.ConvertAll(coordinates.Originals(d, size), x => Math.Clamp(Nearest(x), 0, size - 1));
        }
        return positions;
    }

    private int Nearest(float x) => rounding switch
    {
        "floor" => (int)MathF.Floor(x),
        "ceil" => (int)MathF.Ceiling(x),
        "round_prefer_ceil" => (int)MathF.Floor(x + 0.5f),
        _ => (int)MathF.Ceiling(x - 0.5f),
    };
}
