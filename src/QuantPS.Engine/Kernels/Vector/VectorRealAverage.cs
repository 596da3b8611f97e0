using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>The mean of a window's reals, for <see cref="AverageRule.IsOfReals"/>: 32 channels of a pixel at once, summed tap by tap in float32.</summary>
/// <remarks>Integers would be summed in a quarter of the time, but ONNX Runtime's QLinearAveragePool rounds after every tap, and a mean of four bytes lies
/// between two steps once in four times.</remarks>
internal static class VectorRealAverage
{
    /// <param name="window">The image from the window's first pixel on, channels last.</param>
    /// <param name="offsets">Of the window's pixels in it, in their order.</param>
    /// <param name="pixel">Receives the mean of every channel, of 32 at least.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="divisor">What sums are divided by.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pixel(ReadOnlySpan<byte> window, ReadOnlySpan<int> offsets, Span<byte> pixel, in AverageRule rule, float divisor)
    {
        ref byte x = ref MemoryMarshal.GetReference(window);
        ref byte y = ref MemoryMarshal.GetReference(pixel);
        // qint8 bytes with their sign bit flipped are quint8, 128 higher.
        Vector256<byte> flip = Vector256.Create(rule.Signed ? (byte)0x80 : (byte)0);
        Vector256<int> zeroPoint = Vector256.Create(rule.ZeroPoint + (rule.Signed ? 128 : 0));
        Vector256<float> scale = Vector256.Create(rule.Scale), n = Vector256.Create(divisor), outputScale = Vector256.Create(rule.OutputScale), before = Vector256.Create(rule.Before);
        var zero = new OutputZero(rule.After, rule.Signed);
        for (int i = 0; i < pixel.Length; i += Lanes.Narrow)
        {
            int c = Math.Min(i, pixel.Length - Lanes.Narrow);
            ref byte from = ref Unsafe.Add(ref x, c);
            Vector256<float> a = default, b = default, d = default, e = default;
            foreach (int offset in offsets)
            {
                Vector256<byte> v = Vector256.LoadUnsafe(ref from, (nuint)offset) ^ flip;
                (Vector256<ushort> low, Vector256<ushort> high) = Vector256.Widen(v);
                (Vector256<uint> v0, Vector256<uint> v1) = Vector256.Widen(low);
                (Vector256<uint> v2, Vector256<uint> v3) = Vector256.Widen(high);
                a += Vector256.ConvertToSingle(v0.AsInt32() - zeroPoint) * scale;
                b += Vector256.ConvertToSingle(v1.AsInt32() - zeroPoint) * scale;
                d += Vector256.ConvertToSingle(v2.AsInt32() - zeroPoint) * scale;
                e += Vector256.ConvertToSingle(v3.AsInt32() - zeroPoint) * scale;
            }
            Lanes.Pack(Lanes.Round(a / n / outputScale + before), Lanes.Round(b / n / outputScale + before),
                Lanes.Round(d / n / outputScale + before), Lanes.Round(e / n / outputScale + before), zero).StoreUnsafe(ref y, (nuint)c);
        }
    }
}
