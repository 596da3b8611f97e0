using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Benchmarks.Measuring;

/// <summary>Multiply-accumulates a second on one thread with everything in the first-level cache: of 512-bit VPDPBUSD, which no kernel can beat; without it, of VPMADDUBSW and
/// VPMADDWD, quad after quad, which only doubles can. Measured in the same rounds as what is compared with it, because the clock drifts.</summary>
internal static unsafe class MultiplyPeak
{
    private const int Quads = 256, WidePixels = 14, WideTiles = 4000, NarrowTiles = 8000;
    private static readonly bool Wide = CpuFeatures.Current.Avx512Vnni;
    private static readonly FormShape Form = new(false, false, false, false, RequantizationTail.RoundClampAdd, false, false, true);
    private static readonly MachineCode Code = Wide
        ? ConvTileCode.For(new ConvTileSpec
        {
            Pixels = Pixels(WidePixels),
            ChannelBlocks = 2,
            PairWeightStep = 0,
            LastBlockChannels = 16,
            Runs = new PixelOffsets([0]),
            RunQuads = Quads,
            InputStep = 0,
            OutputPixelStep = 0,
            Form = Form,
        })
        : ConvTileCode256.For(new ConvTileSpec256
        {
            Pixels = Pixels(ConvTileCode256.MostPixels),
            Blocks = 1,
            Channels = ConvTileCode256.Lanes,
            InputStep = 0,
            OutputPixelStep = 0,
            Form = Form,
        });

    private static readonly AlignedBuffer<byte> Input = new(4096), Output = new(4096), Parameters = new(4096);
    private static readonly AlignedBuffer<sbyte> Weights = new(Quads * 128);
    private static readonly AlignedBuffer<int> Offsets = new(Quads);

    /// <summary>Of one <see cref="Run"/>.</summary>
    public static double Macs => (Wide ? (double)WideTiles * WidePixels * 32 : (double)NarrowTiles * ConvTileCode256.MostPixels * ConvTileCode256.Lanes) * Quads * 4;

    public static void Run()
    {
        fixed (byte* x = Input.Span, y = Output.Span, p = Parameters.Span)
        fixed (sbyte* w = Weights.Span)
        fixed (int* offsets = Offsets.Span)
        {
            if (Wide)
            {
                ConvTileCall call = new() { Input = x, Weights = w, Output = y, Parameters = p, Tiles = WideTiles };
                Code.Run(&call);
                return;
            }
            int* none = null;
            ConvTileCall256 narrow = new() { Input = x, Weights = w, Offsets = offsets, Output = y, Parameters = p, UsualStarts = (int*)p, Starts = &none, Tiles = NarrowTiles };
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                narrow.Ends[i] = (long)(i == FittedQuads.MostInGroup - 1 ? w + Quads * 4 * ConvTileCode256.Lanes : w);
            Code.Run(&narrow);
        }
    }

    private static PixelOffsets Pixels(int count) => new([.. Enumerable.Range(0, count).Select(p => p * 64)]);
}
