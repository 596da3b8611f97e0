using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Benchmarks.Measuring;

/// <summary>Multiply-accumulates a second of 512-bit VPDPBUSD on one thread with everything in the first-level cache: what no kernel can beat.
/// Measured in the same rounds as what is compared with it, because the clock drifts.</summary>
internal static unsafe class VnniPeak
{
    private const int Pixels = 14, Quads = 256, Tiles = 4000;
    private static readonly ConvTileCode Code = ConvTileCode.For(new ConvTileSpec
    {
        Pixels = new PixelOffsets([.. Enumerable.Range(0, Pixels).Select(p => p * 64)]),
        ChannelBlocks = 2,
        PairWeightStep = 0,
        LastBlockChannels = 16,
        Runs = new PixelOffsets([0]),
        RunQuads = Quads,
        InputStep = 0,
        OutputPixelStep = 0,
        Form = new FormShape(false, false, false, false, RequantizationTail.RoundClampAdd, false, false, true),
    });

    private static readonly AlignedBuffer<byte> Input = new(4096), Output = new(4096), Parameters = new(4096);
    private static readonly AlignedBuffer<sbyte> Weights = new(Quads * 128);

    /// <summary>Of one <see cref="Run"/>.</summary>
    public static double Macs => (double)Tiles * Pixels * 32 * Quads * 4;

    public static void Run()
    {
        fixed (byte* x = Input.Span, y = Output.Span, p = Parameters.Span)
        fixed (sbyte* w = Weights.Span)
        {
            ConvTileCall call = new() { Input = x, Weights = w, Output = y, Parameters = p, Tiles = Tiles };
            Code.Run(&call);
        }
    }
}
