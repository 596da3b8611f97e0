using QuantPS.Engine.Layers;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>Shapes of QLinearConv and ConvInteger, whose attributes are Conv's.</summary>
internal static class ConvShape
{
    private const int MostSpatialDims = 3;

    /// <summary>True for a weight with 1 to 3 spatial dimensions.</summary>
    public static bool Fits(IntegerNode node, int weight) => node.RankOf(weight) is >= 3 and <= MostSpatialDims + 2;

    /// <summary>The window for an input of this shape: auto_pad depends on it.</summary>
    public static ConvGeometry GeometryOf(IntegerNode node, int[] x, int[] weight)
    {
        Window w = Window.Of(node.Proto, weight[2..], new Execution.ValueType("", default, x, []), out _)!;
        return new ConvGeometry(w.Kernel, w.Stride, w.PadBegin, w.PadEnd, w.Dilation, checked((int)node.Proto.GetInt("group", 1)));
    }

    /// <summary>Throws unless input and weight fit each other.</summary>
    public static void Check(IntegerNode node, GraphValue value, int[] x, int[] weight, ConvGeometry geometry)
    {
        if (x.Length != weight.Length || x[1] != weight[1] * geometry.Groups || weight[0] % geometry.Groups != 0)
        {
            throw node.Wrong($"the input [{string.Join(", ", x)}] does not fit the weight [{string.Join(", ", weight)}] in "
                + $"{geometry.Groups} groups", value);
        }
    }

    /// <summary>One zero point per output channel, of one or as many; 0 when left out.</summary>
    public static int[] PerChannel(IntegerTensor? zeroPoints, int channels) =>
        [.. Enumerable.Range(0, channels).Select(c => zeroPoints is null ? 0 : zeroPoints[zeroPoints.Length == 1 ? 0 : c])];
}
