using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>min(max(q, low), high), 64 or 32 at a time. qint8 bytes with their sign bit flipped are ordered as unsigned ones.</summary>
internal static class VectorClamp
{
    /// <param name="x">8-bit integers.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    /// <param name="low">Lower limit, in the type's range.</param>
    /// <param name="high">Upper limit; where it is below the lower one, it wins.</param>
    /// <param name="signed">qint8.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, int low, int high, bool signed)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        ref byte to = ref MemoryMarshal.GetReference(y);
        byte flip = signed ? (byte)0x80 : (byte)0, lowest = unchecked((byte)(low ^ flip)), highest = unchecked((byte)(high ^ flip));
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<byte> a = Vector512.Create(lowest), b = Vector512.Create(highest), f = Vector512.Create(flip);
            for (; i <= x.Length - 64; i += 64)
                (Vector512.Min(Vector512.Max(Vector512.LoadUnsafe(ref from, (nuint)i) ^ f, a), b) ^ f).StoreUnsafe(ref to, (nuint)i);
        }
        Vector256<byte> lows = Vector256.Create(lowest), highs = Vector256.Create(highest), flips = Vector256.Create(flip);
        for (; i <= x.Length - 32; i += 32)
            (Vector256.Min(Vector256.Max(Vector256.LoadUnsafe(ref from, (nuint)i) ^ flips, lows), highs) ^ flips).StoreUnsafe(ref to, (nuint)i);
        ReferenceClamp.Run(x[i..], y[i..], low, high, signed);
    }
}
