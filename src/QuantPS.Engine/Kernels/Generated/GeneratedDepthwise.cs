using System.Numerics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Depthwise convolution in tiles with AVX-512 VNNI, see <see cref="DepthwiseTileCode"/>.</summary>
internal sealed unsafe class GeneratedDepthwise : TiledDepthwise, IDisposable
{
    private const int TileBytes = 64;

    private readonly int period;
    private readonly PackedMemory memory;
    private readonly byte* weights;
    private readonly byte* constants;

    // With stride 1 neighbouring outputs read neighbouring pixels, and tiles lie side by side across them; else a tile lies within a pixel.
    private readonly bool acrossPixels;
    private readonly int sharedPixels;

    private GeneratedDepthwise(ConvProblem problem)
        : base(problem)
    {
        acrossPixels = Geometry.Stride[1] == 1;
        sharedPixels = acrossPixels ? 1 : (Channels % TileBytes) switch { 32 => 2, 16 => 4, _ => 1 };
        period = acrossPixels ? Channels / (int)BigInteger.GreatestCommonDivisor(Channels, TileBytes) : (Channels + TileBytes - 1) / TileBytes;
        int block = DepthwiseTileCode.BlockBytes(FormShape, Geometry.Kernel[0], Geometry.Kernel[1]);
        memory = new PackedMemory((long)period * block + RequantizationCode.ConstantBytes);
        weights = memory.Address;
        for (int v = 0; v < period; v++)
            Pack(v, weights + (long)v * block);
        constants = weights + (long)period * block;
        RequantizationCode.WriteConstants(Form, constants);
    }

    public override string Name => "generated-depthwise-nhwc-64-avx512vnni";

    // Three times what was measured with AVX2; not measured.
    /// <inheritdoc/>
    protected override long ProductsPerThread => 150_000;

    /// <inheritdoc/>
    protected override int MostRows => DepthwiseTileCode.MostRows(Geometry);

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, one input and one output channel a group, asymmetric weights.</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedDepthwise(problem) : null;

    /// <inheritdoc/>
    protected override MachineCode Generate(DepthwiseBand band) => DepthwiseTileCode.For(new DepthwiseTileSpec
    {
        Band = band,
        InputStep = acrossPixels ? TileBytes : Geometry.Stride[1] * Channels,
        OutputStep = acrossPixels ? TileBytes : Channels,
        Period = acrossPixels ? period : 1,
        SharedPixels = sharedPixels,
    });

    /// <inheritdoc/>
    protected override void RunPixels(MachineCode code, byte** rows, long offset, byte* output, int pixels, byte padding)
    {
        int bytes = acrossPixels ? pixels * Channels : Channels, whole = bytes / TileBytes, rest = bytes % TileBytes;
        DepthwiseTileCall call = new()
        {
            Rows = rows,
            Offset = offset,
            Weights = weights,
            Output = output,
            Constants = constants,
            Runs = 1,
            PartialMask = (1UL << rest) - 1,
            Padding = padding * 0x01010101u,
        };
        if (acrossPixels)
        {
            call.Tiles = whole;
            call.PartialTiles = rest > 0 ? 1 : 0;
            code.Run(&call);
            return;
        }
        // Block after block of 64 channels along the row: the weights of a block stay in the first-level cache. The code moves the pointers on.
        if (whole > 0)
        {
            call.Tiles = pixels;
            call.Runs = whole;
            code.Run(&call);
        }
        if (rest > 0)
        {
            call.Tiles = 0;
            call.SharedTiles = sharedPixels > 1 ? pixels / sharedPixels : 0;
            call.PartialTiles = sharedPixels > 1 ? pixels % sharedPixels : pixels;
            call.Runs = 1;
            code.Run(&call);
        }
    }

    /// <summary>Weights and per-channel numbers of the v-th tile of the period, in the order of the code's lanes.</summary>
    private void Pack(int v, byte* to)
    {
        int rows = Geometry.Kernel[0], columns = Geometry.Kernel[1], quads = DepthwiseTileCode.Quads(columns);
        // Lane l = 16 j + 4 L + i (accumulator j, 128-bit lane L) is byte 16 L + 4 j + i of the tile.
        int[] lanes = [.. Enumerable.Range(0, TileBytes).Select(l => l % 16 / 4 * 16 + l / 16 * 4 + l % 4)];
        if (acrossPixels)
            lanes = Array.ConvertAll(lanes, b => (v * TileBytes + b) % Channels);
        else
            lanes = Array.ConvertAll(lanes, b => v * TileBytes + (v == Channels / TileBytes ? b % (TileBytes / sharedPixels) : b));
        ReadOnlySpan<sbyte> w = Problem.Weight.Span;
        for (int kh = 0; kh < rows; kh++)
        {
            for (int q = 0; q < quads; q++)
            {
                for (int l = 0; l < TileBytes; l++)
                {
                    for (int t = 0; t < 4; t++)
                    {
                        int kw = q * 4 + t;
                        to[((kh * quads + q) * TileBytes + l) * 4 + t] = kw < columns && lanes[l] < Channels ? (byte)w[(lanes[l] * rows + kh) * columns + kw] : (byte)0;
                    }
                }
            }
        }
        RequantizationCode.WriteChannels(Form, Start, lanes, to + rows * quads * 256);
    }

    public void Dispose() => memory.Dispose();
}
