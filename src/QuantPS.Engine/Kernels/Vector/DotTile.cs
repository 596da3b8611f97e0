using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Dot products of rows of bytes: four activation rows with two weight rows at once.</summary>
/// <remarks>Rows are padded to <see cref="Step"/> bytes with zero weights, so that no row has a remainder. Scalar equivalent of one result:
/// sum over k of (x[k] - offset) * w[k], where offset is <see cref="IDotProduct.InputOffset"/>.</remarks>
internal static class DotTile<TDot> where TDot : struct, IDotProduct
{
    /// <summary>Bytes of a vector; row lengths are multiples of it.</summary>
    public const int Step = 32;

    /// <summary>Activation rows of a tile.</summary>
    public const int Rows = 4;

    /// <summary>sums[r] and sums[Rows + r]: row r of x with the first and the second row of w; x less <see cref="IDotProduct.InputOffset"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void FourByTwo(ref byte x, sbyte* w0, sbyte* w1, int length, Span<int> sums)
    {
        ref byte x1 = ref Unsafe.Add(ref x, length), x2 = ref Unsafe.Add(ref x1, length), x3 = ref Unsafe.Add(ref x2, length);
        // sRC: activation row R, weight row C.
        Vector256<int> s00 = default, s10 = default, s20 = default, s30 = default, s01 = default, s11 = default, s21 = default, s31 = default;
        for (nuint k = 0; k < (nuint)length; k += Step)
        {
            Vector256<sbyte> a = Vector256.Load(w0 + k), b = Vector256.Load(w1 + k);
            Vector256<byte> v = Vector256.LoadUnsafe(ref x, k);
            s00 = TDot.MultiplyAdd(s00, v, a);
            s01 = TDot.MultiplyAdd(s01, v, b);
            v = Vector256.LoadUnsafe(ref x1, k);
            s10 = TDot.MultiplyAdd(s10, v, a);
            s11 = TDot.MultiplyAdd(s11, v, b);
            v = Vector256.LoadUnsafe(ref x2, k);
            s20 = TDot.MultiplyAdd(s20, v, a);
            s21 = TDot.MultiplyAdd(s21, v, b);
            v = Vector256.LoadUnsafe(ref x3, k);
            s30 = TDot.MultiplyAdd(s30, v, a);
            s31 = TDot.MultiplyAdd(s31, v, b);
        }
        sums[0] = Vector256.Sum(s00);
        sums[1] = Vector256.Sum(s10);
        sums[2] = Vector256.Sum(s20);
        sums[3] = Vector256.Sum(s30);
        sums[4] = Vector256.Sum(s01);
        sums[5] = Vector256.Sum(s11);
        sums[6] = Vector256.Sum(s21);
        sums[7] = Vector256.Sum(s31);
    }

    /// <summary>Sum of a row of bytes, exact.</summary>
    public static int Sum(ReadOnlySpan<byte> row)
    {
        int sum = 0;
        foreach (byte b in row)
            sum += b;
        return sum;
    }
}

/// <summary>Weights of a layer as rows of padded bytes, with what folds the zero points into the sums.</summary>
/// <remarks>sum (x - z_x)(w - z_w) = sum (x - offset)*w + (offset - z_x) * sum w - z_w * sum x + K * z_x * z_w, all of it exact in int32 with wrap-around.</remarks>
internal sealed unsafe class PackedRows : IDisposable
{
    private readonly PackedMemory rows;

    public PackedRows(ReadOnlySpan<sbyte> weight, int outputs, int[] zeroPoints, int inputZeroPoint, int step, int inputOffset)
    {
        Depth = weight.Length / outputs;
        Length = (Depth + step - 1) / step * step;
        // One row more, so that a tile of two may reach beyond an odd last one.
        rows = new PackedMemory((outputs + 1L) * Length);
        Offsets = new int[outputs + 1];
        for (int o = 0; o < outputs; o++)
        {
            ReadOnlySpan<sbyte> row = weight.Slice(o * Depth, Depth);
            row.CopyTo(new Span<sbyte>(Row(o), Length));
            int sum = 0;
            foreach (sbyte w in row)
                sum += w;
            Offsets[o] = unchecked((inputOffset - inputZeroPoint) * sum + Depth * inputZeroPoint * zeroPoints[o]);
        }
        ZeroPoints = [.. zeroPoints, 0];
        NeedsInputSums = zeroPoints.Any(z => z != 0);
    }

    /// <summary>Products of a row.</summary>
    public int Depth { get; }

    /// <summary>Bytes of a row, with padding.</summary>
    public int Length { get; }

    /// <summary>What is added to the sum of (x - offset)*w, per output channel.</summary>
    public int[] Offsets { get; }

    /// <summary>Weight zero points, per output channel.</summary>
    public int[] ZeroPoints { get; }

    /// <summary>True where a weight zero point is not 0, so that sum x is wanted.</summary>
    public bool NeedsInputSums { get; }

    /// <summary>A row's first byte. Whoever reads it keeps this object alive.</summary>
    public sbyte* Row(int o) => (sbyte*)rows.Address + (long)o * Length;

    public void Dispose() => rows.Dispose();
}
