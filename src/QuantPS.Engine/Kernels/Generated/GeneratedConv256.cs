namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX2, see <see cref="ConvTileCode256"/>.</summary>
internal sealed unsafe class GeneratedConv256 : TiledConv
{
    // Of 32 KiB of first-level cache: weights that stay beside the input of a band.
    private const int StayingBytes = 12 * 1024;

    private readonly PackedMemory weightMemory, parameterMemory;
    private readonly int parameterStride;
    private readonly PairQuads[] pairs;

    private GeneratedConv256(ConvProblem problem)
        : base(problem, ConvTileCode256.BlockLanes)
    {
        pairs = new PairQuads[Pairs];
        var fitted = new FittedQuads[Pairs];
        KernelThreads.Split(Pairs, new Fitting(this, fitted));
        long weightBytes = 0;
        int quads = 0;
        for (int pair = 0; pair < Pairs; pair++)
        {
            FittedQuads f = fitted[pair];
            int blocks = ChannelsOf(pair, 1).Blocks, count = 2 * f.Doubles + f.Singles;
            pairs[pair] = new PairQuads(weightBytes, quads, f.Doubles, f.Singles, [.. f.Order]);
            weightBytes += (long)count * blocks * 32;
            quads += count;
        }
        Quads = quads;
        weightMemory = new PackedMemory(weightBytes);
        parameterStride = ConvTileCode256.ParameterBytes(FormShape);
        parameterMemory = new PackedMemory((long)Pairs * parameterStride);
        for (int pair = 0; pair < Pairs; pair++)
        {
            (int first, int blocks, _) = ChannelsOf(pair, 1);
            fitted[pair].Write(new Span<sbyte>(weightMemory.Address + pairs[pair].WeightsAt, pairs[pair].Order.Length * blocks * 32), blocks * ConvTileCode256.BlockLanes);
            // Lanes behind a group's last channel get the next group's numbers; they are never stored.
            ConvTileCode256.WriteParameters(Form, FormShape, Start, first, parameterMemory.Address + (long)pair * parameterStride);
        }
    }

    public override string Name => $"generated-conv-nhwc-4x16-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx2";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode256.MostPixels;

    /// <inheritdoc/>
    protected override bool WeightsStay => weightMemory.Bytes <= StayingBytes;

    /// <summary>Quads of all pairs, in doubles and singles.</summary>
    private int Quads { get; }

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static TiledConv? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedConv256(problem) : null;

    /// <summary>Where in the window each quad of each pair is read.</summary>
    protected override PackedMemory Prepare(Shape s)
    {
        PackedMemory offsets = new((long)Quads * sizeof(int));
        var to = (int*)offsets.Address;
        foreach (PairQuads pair in pairs)
            for (int i = 0; i < pair.Order.Length; i++)
                to[pair.QuadsAt + i] = s.RunOffsets[pair.Order[i] / RunQuads] + pair.Order[i] % RunQuads * 4;
        return offsets;
    }

    /// <inheritdoc/>
    protected override void RunBand(Shape s, Band band, byte* image, byte* output, int from, int to, SumShape? sum, ConvSumNumbers* numbers)
    {
        for (int pair = from; pair < to; pair++)
        {
            (int first, int blocks, int last) = ChannelsOf(pair, 1);
            ref readonly PairQuads quads = ref pairs[pair];
            ConvTileCall256 call;
            call.Input = InputOf(s, band, image, pair / PairsPerGroup);
            call.Weights = (sbyte*)weightMemory.Address + quads.WeightsAt;
            call.Offsets = (int*)s.Prepared!.Address + quads.QuadsAt;
            call.Doubles = quads.Doubles;
            call.Singles = quads.Singles;
            call.Output = OutputOf(s, band, output, first);
            call.Parameters = parameterMemory.Address + (long)pair * parameterStride;
            call.Tiles = band.Tiles;
            call.Sum = numbers;
            Code(s, band.Tile, blocks, last, sum).Run(&call);
        }
    }

    /// <inheritdoc/>
    protected override MachineCode Generate(Shape s, Tile tile, int blocks, int last, SumShape? sum) => ConvTileCode256.For(new ConvTileSpec256
    {
        Pixels = new PixelOffsets(tile.Offsets),
        ChannelBlocks = blocks,
        LastBlockChannels = last,
        InputStep = tile.InputStep,
        OutputPixelStep = Outputs,
        Form = FormShape,
        Sum = sum,
    });

    public override void Dispose()
    {
        weightMemory.Dispose();
        parameterMemory.Dispose();
    }

    /// <summary>The quads of a pair of blocks: where their weights start in bytes, and their places in the table of offsets.</summary>
    private readonly record struct PairQuads(long WeightsAt, int QuadsAt, int Doubles, int Singles, int[] Order);

    private readonly struct Fitting(GeneratedConv256 conv, FittedQuads[] fitted) : IKernelWork
    {
        public void Run(int from, int to)
        {
            var weights = new sbyte[conv.PairWeightBytes];
            for (int pair = from; pair < to; pair++)
            {
                Array.Clear(weights);
                conv.PackPair(pair, weights);
                fitted[pair] = new FittedQuads(weights);
            }
        }
    }
}
