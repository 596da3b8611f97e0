namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Depthwise convolution in tiles with AVX2, see <see cref="DepthwiseTileCode256"/>. From 8 channels on.</summary>
internal sealed unsafe class GeneratedDepthwise256 : TiledDepthwise, IDisposable
{
    private const int TileBytes = DepthwiseTileCode256.TileBytes;

    private readonly int whole, blockBytes;

    // Channels behind the last whole 32 are taken with those before them that fill a piece; with fewer than 32, pieces from both ends.
    private readonly int restStart, pieceBytes;
    private readonly int[] pieces;
    private readonly PackedMemory memory;
    private readonly byte* constants;

    private GeneratedDepthwise256(ConvProblem problem)
        : base(problem)
    {
        whole = Channels / TileBytes;
        int rest = Channels % TileBytes;
        pieceBytes = whole > 0 ? rest switch { 0 => 0, <= 8 => 8, <= 16 => 16, _ => TileBytes } : Channels >= 16 ? 16 : 8;
        restStart = whole > 0 ? Channels - pieceBytes : 0;
        pieces = whole > 0 || Channels == pieceBytes ? [0] : [0, Channels - pieceBytes];
        int blocks = whole + (rest > 0 ? 1 : 0);
        blockBytes = DepthwiseTileCode256.BlockBytes(FormShape, Geometry.Kernel[0], Geometry.Kernel[1]);
        memory = new PackedMemory((long)blocks * blockBytes + DepthwiseTileCode256.ConstantBytes);
        for (int block = 0; block < blocks; block++)
            Pack(block, memory.Address + (long)block * blockBytes);
        constants = memory.Address + (long)blocks * blockBytes;
        DepthwiseTileCode256.WriteConstants(Form, constants);
    }

    public override string Name => "generated-depthwise-nhwc-32-avx2";

    /// <inheritdoc/>
    protected override long ProductsPerThread => 50_000;

    /// <inheritdoc/>
    protected override int MostRows => DepthwiseTileCode256.MostRows(Geometry);

    private bool Shares => pieceBytes is > 0 and < TileBytes;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, one input and one output channel a group, asymmetric weights,
    /// fewer than 8 channels.</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) => Takes(problem) && problem.OutputChannels >= 8 ? new GeneratedDepthwise256(problem) : null;

    /// <inheritdoc/>
    protected override MachineCode Generate(DepthwiseBand band) => DepthwiseTileCode256.For(new DepthwiseTileSpec256
    {
        Band = band,
        InputStep = Geometry.Stride[1] * Channels,
        OutputStep = Channels,
        PieceBytes = Shares ? pieceBytes : 0,
        Pieces = new PixelOffsets(pieces),
    });

    /// <inheritdoc/>
    protected override void RunPixels(MachineCode code, byte** rows, long offset, byte* output, int pixels, byte padding)
    {
        DepthwiseTileCall256 call = new()
        {
            Rows = rows,
            Offset = offset,
            Weights = memory.Address,
            Output = output,
            Constants = constants,
            Runs = whole,
            Tiles = pixels,
            Padding = padding * 0x01010101u,
        };
        // Block after block of 32 channels along the row: the weights of a block stay in the first-level cache. The code moves the pointers on.
        if (whole > 0)
            code.Run(&call);
        if (pieceBytes == 0)
            return;
        call.Offset = offset + restStart;
        call.Weights = memory.Address + (long)whole * blockBytes;
        call.Output = output + restStart;
        call.Runs = 1;
        if (Shares)
        {
            int shared = TileBytes / (pieceBytes * pieces.Length);
            (call.Tiles, call.SharedTiles, call.SingleTiles) = (0, pixels / shared, pixels % shared);
        }
        code.Run(&call);
    }

    /// <summary>Weights and per-channel numbers of a block, in the order of the code's lanes.</summary>
    private void Pack(int block, byte* to)
    {
        // Lane l = 8 j + 4 L + i (accumulator j, 128-bit lane L) is byte 16 L + 4 j + i of the tile.
        int[] channels = [.. Enumerable.Range(0, TileBytes).Select(l => Channel(block, l % 8 / 4 * 16 + l / 8 * 4 + l % 4))];
        ReadOnlySpan<sbyte> w = Problem.Weight.Span;
        int rows = Geometry.Kernel[0], columns = Geometry.Kernel[1];
        short* words = (short*)to;
        foreach (DepthwisePair pair in DepthwiseTileCode256.Pairs(rows, columns))
        {
            foreach (int channel in channels)
            {
                *words++ = pair.Counts ? w[(channel * rows + pair.Row) * columns + pair.Column] : (short)0;
                *words++ = pair.OtherCounts ? w[(channel * rows + pair.OtherRow) * columns + pair.OtherColumn] : (short)0;
            }
        }
        RequantizationCode.WriteChannels(Form, Start, channels, (byte*)words);
    }

    /// <summary>The channel of a tile's byte.</summary>
    private int Channel(int block, int at) =>
        block < whole ? block * TileBytes + at : restStart + pieces[at / pieceBytes % pieces.Length] + at % pieceBytes;

    public void Dispose() => memory.Dispose();
}
