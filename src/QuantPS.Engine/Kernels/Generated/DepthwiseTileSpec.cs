namespace QuantPS.Engine.Kernels.Generated;

/// <summary>All that the code of a depthwise tile depends on. A tile is 64 neighbouring bytes of a band's output rows.</summary>
internal sealed record DepthwiseTileSpec
{
    /// <summary>The rows.</summary>
    public required DepthwiseBand Band { get; init; }

    /// <summary>Input bytes from a tile of a run to the next.</summary>
    public required int InputStep { get; init; }

    /// <summary>Output bytes from a tile of a run to the next.</summary>
    public required int OutputStep { get; init; }

    /// <summary>After how many tiles of a run the same channels are in the same lanes again; 1 where all tiles of a run have the same channels.</summary>
    public required int Period { get; init; }

    /// <summary>Pixels of a shared tile: 2 with 32 channels of each, 4 with 16; 1 for no such tiles.</summary>
    public required int SharedPixels { get; init; }
}
