using System.Diagnostics;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Benchmarks.Measuring;

/// <summary>Multiply-accumulates a second of 512-bit VPDPBUSD on one thread with everything in the first-level cache: what no kernel can beat.</summary>
internal static unsafe class VnniPeak
{
    public static double Measure()
    {
        const int pixels = 14, quads = 256, tiles = 2000;
        var spec = new ConvTileSpec
        {
            Pixels = new PixelOffsets([.. Enumerable.Range(0, pixels).Select(p => p * 64)]),
            ChannelBlocks = 2,
            PairWeightStep = 0,
            LastBlockChannels = 16,
            Runs = new PixelOffsets([0]),
            RunQuads = quads,
            InputStep = 0,
            OutputPixelStep = 0,
            Form = new FormShape(false, false, false, false, RequantizationTail.RoundClampAdd, false, false, true),
        };
        ConvTileCode code = ConvTileCode.For(spec);
        byte[] input = GC.AllocateArray<byte>(pixels * 64 + quads * 4, pinned: true), output = GC.AllocateArray<byte>(64, pinned: true), parameters = GC.AllocateArray<byte>(1024, pinned: true);
        sbyte[] weights = GC.AllocateArray<sbyte>(quads * 128, pinned: true);
        double best = 0;
        fixed (byte* x = input, y = output, p = parameters)
        fixed (sbyte* w = weights)
        {
            ConvTileCall call = new() { Input = x, Weights = w, Output = y, Parameters = p, Tiles = tiles };
            for (int round = 0; round < 20; round++)
            {
                long start = Stopwatch.GetTimestamp();
                code.Run(&call);
                best = Math.Max(best, (double)tiles * pixels * 32 * quads * 4 / Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }
        return best;
    }
}
