namespace QuantPS.Engine.Kernels.Generated;

/// <summary>All that the code of a convolution tile with AVX2 depends on; how many products there are and where they lie is said in tables. Equal specs share code.</summary>
/// <remarks>A tile is up to <see cref="ConvTileCode256.MostPixels"/> output pixels times one or two blocks of 8 output channels.</remarks>
internal sealed record ConvTileSpec256
{
    /// <summary>Where each pixel's window starts, in bytes from the first one's.</summary>
    public required PixelOffsets Pixels { get; init; }

    /// <summary>Blocks of 8 output channels, one or two.</summary>
    public required int Blocks { get; init; }

    /// <summary>Output channels of the last block, 1 to 8.</summary>
    public required int Channels { get; init; }

    /// <summary>Bytes from a tile's input to the next one's.</summary>
    public required int InputStep { get; init; }

    /// <summary>Bytes from a pixel's output to the next one's: all output channels.</summary>
    public required int OutputPixelStep { get; init; }

    /// <summary>Which steps the formula has.</summary>
    public required FormShape Form { get; init; }

    /// <summary>The sum that the outputs go into, if any.</summary>
    public SumShape? Sum { get; init; }
}
