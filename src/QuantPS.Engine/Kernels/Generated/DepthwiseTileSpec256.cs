namespace QuantPS.Engine.Kernels.Generated;

/// <summary>All that the code of a depthwise tile in 256-bit registers depends on. A tile is 32 channels of a pixel, or the fewer that are left over of
/// one to four pixels, in a band's output rows.</summary>
internal sealed record DepthwiseTileSpec256
{
    /// <summary>The rows.</summary>
    public required DepthwiseBand Band { get; init; }

    /// <summary>Input bytes from a pixel's window to the next one's.</summary>
    public required int InputStep { get; init; }

    /// <summary>Output bytes from a pixel to the next.</summary>
    public required int OutputStep { get; init; }

    /// <summary>Shared tiles are put together from pieces of so many bytes, 8 or 16; 0 for no such tiles.</summary>
    public required int PieceBytes { get; init; }

    /// <summary>Where the pieces of a pixel begin, in bytes from the first one.</summary>
    public required PixelOffsets Pieces { get; init; }

    /// <summary>Pixels of a shared tile.</summary>
    public int SharedPixels => PieceBytes == 0 ? 0 : DepthwiseTileCode256.TileBytes / (PieceBytes * Pieces.Count);
}
