using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Sums of products of a tile: some rows with two vectors of columns. Operands are pairs of int16, of neighbouring k, so that the zero points are
/// out of them and a pair of products is one instruction.</summary>
/// <remarks>Scalar equivalent of a sum: over all pairs p, a.low * b.low + a.high * b.high, at most 2 * 255 * 255, in int32 with wrap-around.</remarks>
internal unsafe interface IPairTile
{
    static abstract string Isa { get; }

    static abstract int Rows { get; }

    static abstract int Columns { get; }

    /// <summary>The rows of a: pairs in a row, one row behind the other; b: per pair the columns of the tile; sums: as many rows, a stride apart.</summary>
    static abstract void Multiply(int* a, int* b, nint pairs, int* sums, int stride);
}

/// <summary>VPMADDWD on 512 bits: a tile of 4 x 32.</summary>
internal readonly unsafe struct PairTile512 : IPairTile
{
    public static string Isa => "avx512";

    public static int Rows => 4;

    public static int Columns => 32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(int* a, int* b, nint pairs, int* sums, int stride)
    {
        Vector512<int> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
        for (int* end = a + pairs; a < end; a++, b += 32)
        {
            Vector512<short> low = Vector512.Load((short*)b), high = Vector512.Load((short*)(b + 16));
            Vector512<short> v = Vector512.Create(a[0]).AsInt16();
            s00 += Avx512BW.MultiplyAddAdjacent(v, low);
            s01 += Avx512BW.MultiplyAddAdjacent(v, high);
            v = Vector512.Create(a[pairs]).AsInt16();
            s10 += Avx512BW.MultiplyAddAdjacent(v, low);
            s11 += Avx512BW.MultiplyAddAdjacent(v, high);
            v = Vector512.Create(a[2 * pairs]).AsInt16();
            s20 += Avx512BW.MultiplyAddAdjacent(v, low);
            s21 += Avx512BW.MultiplyAddAdjacent(v, high);
            v = Vector512.Create(a[3 * pairs]).AsInt16();
            s30 += Avx512BW.MultiplyAddAdjacent(v, low);
            s31 += Avx512BW.MultiplyAddAdjacent(v, high);
        }
        s00.Store(sums);
        s01.Store(sums + 16);
        s10.Store(sums += stride);
        s11.Store(sums + 16);
        s20.Store(sums += stride);
        s21.Store(sums + 16);
        s30.Store(sums += stride);
        s31.Store(sums + 16);
    }
}

/// <summary>Two products of int16 added to an int32, in every lane.</summary>
internal interface IPairProduct
{
    static abstract string Isa { get; }

    static abstract Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<short> a, Vector256<short> b);
}

/// <summary>VPDPWSSD.</summary>
internal readonly struct AvxVnniPairs : IPairProduct
{
    public static string Isa => "avxvnni";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<short> a, Vector256<short> b) => AvxVnni.MultiplyWideningAndAdd(sums, a, b);
}

/// <summary>VPMADDWD.</summary>
internal readonly struct Avx2Pairs : IPairProduct
{
    public static string Isa => "avx2";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<short> a, Vector256<short> b) => sums + Avx2.MultiplyAddAdjacent(a, b);
}

/// <summary>Any CPU with 128-bit vectors: both halves of each int32 taken apart.</summary>
internal readonly struct PortablePairs : IPairProduct
{
    public static string Isa => "vector128";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<short> a, Vector256<short> b)
    {
        if (Sse2.IsSupported)
            return sums + Vector256.Create(Sse2.MultiplyAddAdjacent(a.GetLower(), b.GetLower()), Sse2.MultiplyAddAdjacent(a.GetUpper(), b.GetUpper()));
        Vector256<int> x = a.AsInt32(), y = b.AsInt32();
        return sums + (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
    }
}

/// <summary>256 bits: a tile of 6 x 16, whose sums, columns and one factor take 15 registers of 16.</summary>
internal readonly unsafe struct PairTile256<TPairs> : IPairTile where TPairs : struct, IPairProduct
{
    public static string Isa => TPairs.Isa;

    public static int Rows => 6;

    public static int Columns => 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(int* a, int* b, nint pairs, int* sums, int stride)
    {
        Vector256<int> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default, s40 = default, s41 = default, s50 = default, s51 = default;
        int* lower = a + 3 * pairs;
        for (int* end = a + pairs; a < end; a++, lower++, b += 16)
        {
            Vector256<short> low = Vector256.Load((short*)b), high = Vector256.Load((short*)(b + 8));
            Vector256<short> v = Vector256.Create(a[0]).AsInt16();
            s00 = TPairs.MultiplyAdd(s00, v, low);
            s01 = TPairs.MultiplyAdd(s01, v, high);
            v = Vector256.Create(a[pairs]).AsInt16();
            s10 = TPairs.MultiplyAdd(s10, v, low);
            s11 = TPairs.MultiplyAdd(s11, v, high);
            v = Vector256.Create(a[2 * pairs]).AsInt16();
            s20 = TPairs.MultiplyAdd(s20, v, low);
            s21 = TPairs.MultiplyAdd(s21, v, high);
            v = Vector256.Create(lower[0]).AsInt16();
            s30 = TPairs.MultiplyAdd(s30, v, low);
            s31 = TPairs.MultiplyAdd(s31, v, high);
            v = Vector256.Create(lower[pairs]).AsInt16();
            s40 = TPairs.MultiplyAdd(s40, v, low);
            s41 = TPairs.MultiplyAdd(s41, v, high);
            v = Vector256.Create(lower[2 * pairs]).AsInt16();
            s50 = TPairs.MultiplyAdd(s50, v, low);
            s51 = TPairs.MultiplyAdd(s51, v, high);
        }
        s00.Store(sums);
        s01.Store(sums + 8);
        s10.Store(sums += stride);
        s11.Store(sums + 8);
        s20.Store(sums += stride);
        s21.Store(sums + 8);
        s30.Store(sums += stride);
        s31.Store(sums + 8);
        s40.Store(sums += stride);
        s41.Store(sums + 8);
        s50.Store(sums += stride);
        s51.Store(sums + 8);
    }
}
