using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>A geometry of 1, 2 or 3 dimensions written as depth, height, width, so that one loop nest serves all; missing dimensions have size 1.</summary>
internal readonly struct SpatialWindow
{
    public SpatialWindow(ConvGeometry g, ReadOnlySpan<int> inputSpatial)
    {
        In = Fill(inputSpatial, 1);
        Span<int> output = stackalloc int[g.SpatialRank];
        g.OutputSize(inputSpatial, output);
        Out = Fill(output, 1);
        Kernel = Fill(g.Kernel, 1);
        Stride = Fill(g.Stride, 1);
        Dilation = Fill(g.Dilation, 1);
        Pad = Fill(g.PadBegin, 0);
    }

    public (int D, int H, int W) In { get; }

    public (int D, int H, int W) Out { get; }

    public (int D, int H, int W) Kernel { get; }

    public (int D, int H, int W) Stride { get; }

    public (int D, int H, int W) Dilation { get; }

    public (int D, int H, int W) Pad { get; }

    public int InCount => In.D * In.H * In.W;

    public int OutCount => Out.D * Out.H * Out.W;

    /// <summary>The outputs [first, end) along one dimension whose tap falls inside the input: 0 &lt;= o * stride - pad + tap * dilation &lt; size.</summary>
    public static (int First, int End) Valid(int tap, int inSize, int outSize, int stride, int dilation, int pad)
    {
        int shift = tap * dilation - pad;
        int first = shift >= 0 ? 0 : Math.Min(outSize, (-shift + stride - 1) / stride);
        int end = inSize - shift <= 0 ? 0 : Math.Min(outSize, (inSize - shift - 1) / stride + 1);
        return (first, Math.Max(first, end));
    }

    private static (int D, int H, int W) Fill(ReadOnlySpan<int> v, int missing) => v.Length switch
    {
        1 => (missing, missing, v[0]),
        2 => (missing, v[0], v[1]),
        _ => (v[0], v[1], v[2]),
    };
}
