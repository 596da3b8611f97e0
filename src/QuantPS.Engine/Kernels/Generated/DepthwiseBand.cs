using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>A few output rows of a depthwise convolution that are made together, and what they see: the part of a tile's spec that all instruction sets share.</summary>
internal sealed record DepthwiseBand
{
    /// <summary>Output rows.</summary>
    public required int Rows { get; init; }

    /// <summary>Input rows from an output row to the next.</summary>
    public required int RowStride { get; init; }

    /// <summary>Kernel rows.</summary>
    public required int KernelRows { get; init; }

    /// <summary>Input rows from a kernel row to the next.</summary>
    public required int RowDilation { get; init; }

    /// <summary>Where each kernel column reads, in bytes from where the first output byte's window starts.</summary>
    public required PixelOffsets Columns { get; init; }

    /// <summary>A bit for each kernel column that lies outside the image, left or right.</summary>
    public required uint OutsideColumns { get; init; }

    /// <summary>Bytes from an output row to the next.</summary>
    public required int OutputRowStep { get; init; }

    /// <summary>The sign bit of the input is turned: qint8.</summary>
    public required bool Flip { get; init; }

    /// <summary>Which steps the formula has.</summary>
    public required FormShape Form { get; init; }

    /// <summary>Output rows that see a common input row: as many need accumulators at a time.</summary>
    public int LiveRows => Live(Rows, KernelRows, RowDilation, RowStride);

    /// <summary>Output rows of a band: as many as are wanted if their accumulators fit, else as many as have some.</summary>
    /// <param name="g">The convolution.</param>
    /// <param name="wanted">More rows share more input rows, but are more streams of memory to follow.</param>
    /// <param name="mostLive">Rows that there are accumulators for.</param>
    public static int MostRows(ConvGeometry g, int wanted, int mostLive) => Live(wanted, g.Kernel[0], g.Dilation[0], g.Stride[0]) <= mostLive ? wanted : mostLive;

    /// <summary>The input rows that the band sees, from its first one; for each the output rows that it counts for, and as which kernel row.</summary>
    public (int InputRow, (int Row, int Kernel)[] Uses)[] InputRows() =>
    [
        .. from r in Enumerable.Range(0, Rows)
           from kh in Enumerable.Range(0, KernelRows)
           group (r, kh) by r * RowStride + kh * RowDilation into g
           orderby g.Key
           select (g.Key, g.ToArray()),
    ];

    private static int Live(int rows, int kernelRows, int dilation, int stride) => Math.Min(rows, (kernelRows - 1) * dilation / stride + 1);
}
