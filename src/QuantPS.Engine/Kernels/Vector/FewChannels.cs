using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Images of 2 to 4 channels from planes to pixels and back, 16 pixels at a time: a vector holds four pixels, either as they are or by channels, four
/// bytes each. One becomes the other by a shuffle; four by channels become four channels by transposing their dwords.</summary>
internal static class FewChannels
{
    public const int Most = 4;

    private const int Pixels = 16, Together = 4;

    // For so many channels: where in a vector by channels each byte of four pixels is, and the other way round. An index with the sign bit gives 0.
    private static readonly Vector128<byte>[] Interleaving = [.. Enumerable.Range(0, Most + 1).Select(n => Places(i => i < Together * n ? i % n * Together + i / n : 0x80))];
    private static readonly Vector128<byte>[] Separating = [.. Enumerable.Range(0, Most + 1).Select(n => Places(i => i / Together < n ? i % Together * n + i / Together : 0x80))];

    /// <summary>[rows, columns] to [columns, rows] for the columns from c0 on. Gives how far it got: a store takes 16 bytes, which have to be within these columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Interleave(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int c0, int c1)
    {
        ref byte from = ref MemoryMarshal.GetReference(source), to = ref MemoryMarshal.GetReference(target);
        Vector128<byte> order = Interleaving[rows];
        int c = c0, end = c1 * rows - (Vector128<byte>.Count - Together * rows);
        for (; (c + Pixels) * rows <= end; c += Pixels)
        {
            Vector128<byte> p = Vector128.LoadUnsafe(ref from, (nuint)c), q = rows > 1 ? Vector128.LoadUnsafe(ref from, (nuint)(columns + c)) : default;
            Vector128<byte> r = rows > 2 ? Vector128.LoadUnsafe(ref from, (nuint)(2 * columns + c)) : default, s = rows > 3 ? Vector128.LoadUnsafe(ref from, (nuint)(3 * columns + c)) : default;
            (p, q, r, s) = Turned(p, q, r, s);
            nuint at = (nuint)(c * rows), step = (nuint)(Together * rows);
            // Each over the zeros behind the one before.
            Shuffle(p, order).StoreUnsafe(ref to, at);
            Shuffle(q, order).StoreUnsafe(ref to, at + step);
            Shuffle(r, order).StoreUnsafe(ref to, at + 2 * step);
            Shuffle(s, order).StoreUnsafe(ref to, at + 3 * step);
        }
        return c;
    }

    /// <summary>[rows, columns] to [columns, rows] for the rows from r0 on. Gives how far it got: a load takes 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Separate(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1)
    {
        ref byte from = ref MemoryMarshal.GetReference(source), to = ref MemoryMarshal.GetReference(target);
        Vector128<byte> order = Separating[columns];
        int i = r0, end = source.Length - (Vector128<byte>.Count - Together * columns);
        for (; i <= r1 - Pixels && (i + Pixels) * columns <= end; i += Pixels)
        {
            nuint at = (nuint)(i * columns), step = (nuint)(Together * columns);
            Vector128<byte> p = Shuffle(Vector128.LoadUnsafe(ref from, at), order), q = Shuffle(Vector128.LoadUnsafe(ref from, at + step), order);
            Vector128<byte> r = Shuffle(Vector128.LoadUnsafe(ref from, at + 2 * step), order), s = Shuffle(Vector128.LoadUnsafe(ref from, at + 3 * step), order);
            (p, q, r, s) = Turned(p, q, r, s);
            p.StoreUnsafe(ref to, (nuint)i);
            if (columns > 1)
                q.StoreUnsafe(ref to, (nuint)(rows + i));
            if (columns > 2)
                r.StoreUnsafe(ref to, (nuint)(2 * rows + i));
            if (columns > 3)
                s.StoreUnsafe(ref to, (nuint)(3 * rows + i));
        }
        return i;
    }

    /// <summary>4 x 4 dwords.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<byte>, Vector128<byte>, Vector128<byte>, Vector128<byte>) Turned(Vector128<byte> a, Vector128<byte> b, Vector128<byte> c, Vector128<byte> d)
    {
        Vector128<int> acLow = Low(a.AsInt32(), c.AsInt32()), acHigh = High(a.AsInt32(), c.AsInt32()), bdLow = Low(b.AsInt32(), d.AsInt32()), bdHigh = High(b.AsInt32(), d.AsInt32());
        return (Low(acLow, bdLow).AsByte(), High(acLow, bdLow).AsByte(), Low(acHigh, bdHigh).AsByte(), High(acHigh, bdHigh).AsByte());

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<int> Low(Vector128<int> x, Vector128<int> y) => Sse2.IsSupported ? Sse2.UnpackLow(x, y) : AdvSimd.Arm64.ZipLow(x, y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<int> High(Vector128<int> x, Vector128<int> y) => Sse2.IsSupported ? Sse2.UnpackHigh(x, y) : AdvSimd.Arm64.ZipHigh(x, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Shuffle(Vector128<byte> v, Vector128<byte> order) => Ssse3.IsSupported ? Ssse3.Shuffle(v, order) : Vector128.Shuffle(v, order);

    private static Vector128<byte> Places(Func<int, int> place) => Vector128.Create([.. Enumerable.Range(0, Vector128<byte>.Count).Select(i => (byte)place(i))]);
}
