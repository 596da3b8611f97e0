using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary><see cref="ByteLines"/> for 32 bytes at a time, with AVX2 and FMA: about a third of the time of 32 look-ups, half of it for two lines.</summary>
internal static unsafe class VectorByteLines
{
    private const int Width = 32;

    /// <param name="x">Bytes.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    /// <param name="lines">The function.</param>
    /// <returns>How many were done; fewer than 32 are left.</returns>
    public static int Run(ReadOnlySpan<byte> x, Span<byte> y, ByteLines lines)
    {
        ref byte from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(y);
        return (lines.Signed, lines.AreTwo) switch
        {
            (false, false) => Run<byte, One>(ref from, ref to, x.Length, lines),
            (false, true) => Run<byte, Two>(ref from, ref to, x.Length, lines),
            (true, false) => Run<sbyte, One>(ref from, ref to, x.Length, lines),
            (true, true) => Run<sbyte, Two>(ref from, ref to, x.Length, lines),
        };
    }

    private readonly struct One;

    private readonly struct Two;

    /// <summary>Four times eight lanes of float32, as bytes come; packing puts 4 lanes of each beside one another in either half, which a permutation brings into order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run<TByte, TLines>(ref byte from, ref byte to, int length, ByteLines lines) where TByte : unmanaged where TLines : struct
    {
        Vector256<float> slope = Vector256.Create(lines.Slope), offset = Vector256.Create(lines.Offset), slope2 = Vector256.Create(lines.Slope2), offset2 = Vector256.Create(lines.Offset2);
        Vector256<byte> low = Vector256.Create(lines.Low), high = Vector256.Create(lines.High);
        Vector256<int> order = Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7);
        int i = 0;
        fixed (byte* start = &from)
        {
            for (; i <= length - Width; i += Width)
            {
                byte* p = start + i;
                Vector256<short> ab = Avx2.PackSignedSaturate(Line<TByte, TLines>(p, slope, offset, slope2, offset2), Line<TByte, TLines>(p + 8, slope, offset, slope2, offset2));
                Vector256<short> cd = Avx2.PackSignedSaturate(Line<TByte, TLines>(p + 16, slope, offset, slope2, offset2), Line<TByte, TLines>(p + 24, slope, offset, slope2, offset2));
                Vector256<byte> packed = typeof(TByte) == typeof(sbyte) ? Avx2.PackSignedSaturate(ab, cd).AsByte() : Avx2.PackUnsignedSaturate(ab, cd);
                packed = Avx2.PermuteVar8x32(packed.AsInt32(), order).AsByte();
                packed = typeof(TByte) == typeof(sbyte) ? Avx2.Min(Avx2.Max(packed.AsSByte(), low.AsSByte()), high.AsSByte()).AsByte() : Avx2.Min(Avx2.Max(packed, low), high);
                packed.StoreUnsafe(ref to, (nuint)i);
            }
        }
        return i;
    }

    /// <summary>Eight bytes to eight integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Line<TByte, TLines>(byte* p, Vector256<float> slope, Vector256<float> offset, Vector256<float> slope2, Vector256<float> offset2)
    {
        Vector256<float> x = Avx.ConvertToVector256Single(typeof(TByte) == typeof(sbyte) ? Avx2.ConvertToVector256Int32((sbyte*)p) : Avx2.ConvertToVector256Int32(p));
        Vector256<float> y = Fma.MultiplyAdd(x, slope, offset);
        if (typeof(TLines) == typeof(Two))
            y = Avx.Max(y, Fma.MultiplyAdd(x, slope2, offset2));
        return Avx.ConvertToVector256Int32(y);
    }
}
