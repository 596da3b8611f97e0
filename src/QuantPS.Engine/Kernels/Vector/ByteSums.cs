using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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
internal struct ByteSums256
{
    public Vector256<int> A, B, C, D;

    /// <inheritdoc cref="ByteSums512.Add(ref byte, ReadOnlySpan{int}, byte)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, ReadOnlySpan<int> offsets, byte flip)
    {
        Vector256<byte> f = Vector256.Create(flip);
        Vector256<ushort> low = default, high = default;
        foreach (int offset in offsets)
        {
            (Vector256<ushort> a, Vector256<ushort> b) = Vector256.Widen(Vector256.LoadUnsafe(ref x, (nuint)offset) ^ f);
            low += a;
            high += b;
        }
        Add(low, high);
    }

    /// <inheritdoc cref="ByteSums512.Add(ref byte, int, int, byte)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ref byte x, int step, int count, byte flip)
    {
        Vector256<byte> f = Vector256.Create(flip);
        Vector256<ushort> low = default, high = default;
        for (int i = 0; i < count; i++)
        {
            (Vector256<ushort> a, Vector256<ushort> b) = Vector256.Widen(Vector256.LoadUnsafe(ref Unsafe.Add(ref x, i * step)) ^ f);
            low += a;
            high += b;
        }
        Add(low, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(Vector256<ushort> low, Vector256<ushort> high)
    {
        (Vector256<uint> a, Vector256<uint> b) = Vector256.Widen(low);
        (Vector256<uint> c, Vector256<uint> d) = Vector256.Widen(high);
        A += a.AsInt32();
        B += b.AsInt32();
        C += c.AsInt32();
        D += d.AsInt32();
    }
}
