using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Sums of 64 neighbouring bytes in int32, which wrap: 16 in each of four vectors, in order.</summary>
internal struct ByteSums512
{
    public Vector512<int> A, B, C, D;

    /// <summary>Adds 64 bytes at each of at most 256 offsets, exclusive-or'd with a byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, ReadOnlySpan<int> offsets, byte flip)
    {
        Vector512<byte> f = Vector512.Create(flip);
        Vector512<ushort> low = default, high = default;
        foreach (int offset in offsets)
        {
            (Vector512<ushort> a, Vector512<ushort> b) = Vector512.Widen(Vector512.LoadUnsafe(ref x, (nuint)offset) ^ f);
            low += a;
            high += b;
        }
        Add(low, high);
    }

    /// <summary>Adds 64 bytes at each of at most 256 places, one step apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, int step, int count, byte flip)
    {
        Vector512<byte> f = Vector512.Create(flip);
        Vector512<ushort> low = default, high = default;
        for (int i = 0; i < count; i++)
        {
            (Vector512<ushort> a, Vector512<ushort> b) = Vector512.Widen(Vector512.LoadUnsafe(ref Unsafe.Add(ref x, i * step)) ^ f);
            low += a;
            high += b;
        }
        Add(low, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(Vector512<ushort> low, Vector512<ushort> high)
    {
        (Vector512<uint> a, Vector512<uint> b) = Vector512.Widen(low);
        (Vector512<uint> c, Vector512<uint> d) = Vector512.Widen(high);
        A += a.AsInt32();
        B += b.AsInt32();
        C += c.AsInt32();
        D += d.AsInt32();
    }
}

/// <summary>Sums of 32 neighbouring bytes in int32, which wrap: 8 in each of four vectors, in order.</summary>
/// <remarks>Bytes are added up as the 16-bit words that they are in pairs, and the upper ones of these alone: the sums of the lower ones are the difference.</remarks>
internal struct ByteSums256
{
    public Vector256<int> A, B, C, D;

    /// <inheritdoc cref="ByteSums512.Add(ref byte, ReadOnlySpan{int}, byte)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, ReadOnlySpan<int> offsets, byte flip)
    {
        Vector256<byte> f = Vector256.Create(flip);
        Vector256<ushort> words = default, upper = default;
        foreach (int offset in offsets)
        {
            Vector256<ushort> v = (Vector256.LoadUnsafe(ref x, (nuint)offset) ^ f).AsUInt16();
            words += v;
            upper += v >> 8;
        }
        Add(words, upper);
    }

    /// <summary>Adds 32 bytes at each of at most 256 places, one step apart, and the 32 behind these to other sums. What is behind both comes next, and far
    /// apart for the processor to foresee.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public unsafe void Add(ref byte x, int step, int count, byte flip, ref ByteSums256 behind)
    {
        Vector256<byte> f = Vector256.Create(flip);
        Vector256<ushort> words = default, upper = default, wordsBehind = default, upperBehind = default;
        for (int i = 0; i < count; i++, x = ref Unsafe.Add(ref x, step))
        {
            if (Sse.IsSupported)
                Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref x, 64)));
            Vector256<ushort> v = (Vector256.LoadUnsafe(ref x) ^ f).AsUInt16(), w = (Vector256.LoadUnsafe(ref x, 32) ^ f).AsUInt16();
            words += v;
            upper += v >> 8;
            wordsBehind += w;
            upperBehind += w >> 8;
        }
        Add(words, upper);
        behind.Add(wordsBehind, upperBehind);
    }

    /// <summary>Adds 32 bytes at each of at most 256 places, one step apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, int step, int count, byte flip)
    {
        Vector256<byte> f = Vector256.Create(flip);
        Vector256<ushort> words = default, upper = default;
        for (int i = 0; i < count; i++, x = ref Unsafe.Add(ref x, step))
        {
            Vector256<ushort> v = (Vector256.LoadUnsafe(ref x) ^ f).AsUInt16();
            words += v;
            upper += v >> 8;
        }
        Add(words, upper);
    }

    /// <summary>Writes the 32 sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void CopyTo(ref int sums)
    {
        A.StoreUnsafe(ref sums);
        B.StoreUnsafe(ref sums, 8);
        C.StoreUnsafe(ref sums, 16);
        D.StoreUnsafe(ref sums, 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(Vector256<ushort> words, Vector256<ushort> upper)
    {
        Vector256<uint> even = (words - (upper << 8)).AsUInt32(), odd = upper.AsUInt32();
        // The sums of every fourth byte, from the first, second, third and fourth on.
        Vector256<int> p = (even & Vector256.Create(0xFFFFu)).AsInt32(), q = (odd & Vector256.Create(0xFFFFu)).AsInt32(), r = (even >> 16).AsInt32(), s = (odd >> 16).AsInt32();
        (Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d) = Lanes.Interleave(p, q, r, s);
        A += a;
        B += b;
        C += c;
        D += d;
    }
}
