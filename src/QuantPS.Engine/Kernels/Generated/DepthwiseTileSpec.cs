namespace QuantPS.Engine.Kernels.Generated;

/// <summary>All that the code of a depthwise tile depends on. A tile is 64 neighbouring bytes of a few output rows.</summary>
internal sealed record DepthwiseTileSpec
{
    /// <summary>Output rows of a tile, 1 to <see cref="DepthwiseTileCode.MostRows"/>.</summary>
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

    /// <summary>Input bytes from a tile of a run to the next.</summary>
    public required int InputStep { get; init; }

    /// <summary>Output bytes from a tile of a run to the next.</summary>
    public required int OutputStep { get; init; }

    /// <summary>After how many tiles of a run the same channels are in the same lanes again; 1 where all tiles of a run have the same channels.</summary>
    public required int Period { get; init; }

    /// <summary>Pixels of a shared tile: 2 with 32 channels of each, 4 with 16; 1 for no such tiles.</summary>
    public required int SharedPixels { get; init; }

    /// <summary>The sign bit of the input is turned: qint8.</summary>
    public required bool Flip { get; init; }

    /// <summary>Which steps the formula has.</summary>
    public required FormShape Form { get; init; }

    /// <summary>The input rows that a tile sees, from its first one; for each the output rows that it counts for, and as which kernel row.</summary>
    public (int InputRow, (int Row, int Kernel)[] Uses)[] InputRows() =>
    [
        .. from r in Enumerable.Range(0, Rows)
           from kh in Enumerable.Range(0, KernelRows)
           group (r, kh) by r * RowStride + kh * RowDilation into g
           orderby g.Key
           select (g.Key, g.ToArray()),
    ];
}
