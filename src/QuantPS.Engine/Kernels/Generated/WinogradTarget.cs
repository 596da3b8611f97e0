namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What <see cref="WinogradConv"/> takes from an instruction set. The transforms are AVX2's in both.</summary>
/// <param name="Isa">As kernels' names have it.</param>
/// <param name="Wide">Products by VPDPWSSD on 512 bits; else by VPMADDWD on 256.</param>
/// <param name="MostTiles">Tiles that are multiplied at a time.</param>
/// <param name="Direct">Makes the convolution that it stands beside.</param>
/// <param name="Costs">Which of the two is taken follows from these.</param>
internal sealed record WinogradTarget(string Isa, bool Wide, int MostTiles, Func<ConvProblem, TiledConv?> Direct, WinogradCosts Costs)
{
    /// <summary>Costs measured on Zen 3.</summary>
    public static WinogradTarget Avx2 { get; } = new("avx2", Wide: false, WinogradProductsCode.NarrowTiles, GeneratedConv256.TryCreate,
        new WinogradCosts(DirectPixel: 0.23, TileProducts: 1.4, InputTransform: 4, OutputTransform: 12, WeightTransform: 3, Measured: true));

    /// <summary>Costs reckoned from the number of instructions: where they lie close together, the kernel times both.</summary>
    public static WinogradTarget Avx512Vnni { get; } = new("avx512vnni", Wide: true, WinogradProductsCode.WideTiles, GeneratedConv.TryCreate,
        new WinogradCosts(DirectPixel: 0.09, TileProducts: 0.7, InputTransform: 4, OutputTransform: 12, WeightTransform: 3, Measured: false));
}

/// <summary>In cycles, for an input and an output channel.</summary>
/// <param name="DirectPixel">An output pixel of the direct convolution.</param>
/// <param name="TileProducts">A tile's 36 products.</param>
/// <param name="InputTransform">That of a tile, over the output channels.</param>
/// <param name="OutputTransform">Likewise, over the input channels.</param>
/// <param name="WeightTransform">That of the weights, for each block of tiles.</param>
/// <param name="Measured">They were measured on a CPU of the kind.</param>
internal sealed record WinogradCosts(double DirectPixel, double TileProducts, double InputTransform, double OutputTransform, double WeightTransform, bool Measured)
{
    // Costs that were not measured are taken at their word where one way costs so many times the other.
    private const double Certain = 2;

    /// <summary>Whether the transformed way is quicker; null if both are to be timed.</summary>
    /// <param name="tiles">Of all images.</param>
    /// <param name="blocks">Of tiles, each of which transforms the weights.</param>
    /// <param name="pixels">Output pixels of all images.</param>
    /// <param name="inputs">Input channels.</param>
    /// <param name="outputs">Output channels.</param>
    public bool? Pays(int tiles, int blocks, long pixels, int inputs, int outputs)
    {
        double direct = pixels * DirectPixel, transformed = tiles * (TileProducts + InputTransform / outputs + OutputTransform / inputs) + blocks * WeightTransform;
        return Measured || transformed * Certain < direct || transformed > direct * Certain ? transformed < direct : null;
    }
}
