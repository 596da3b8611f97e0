using System.Numerics;
using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Exact matrix products of small integers into int32, which wraps. Not requantized: MatMulInteger and ConvInteger give the sums themselves.</summary>
public static class IntegerProduct
{
    /// <param name="a">[rows, depth], row-major; from -255 to 255.</param>
    /// <param name="b">[depth, columns], row-major; from -255 to 255.</param>
    /// <param name="sums">Receives [rows, columns], int32 in the machine's byte order.</param>
    /// <param name="rows">Rows of a.</param>
    /// <param name="depth">Columns of a, rows of b.</param>
    /// <param name="columns">Columns of b.</param>
    public static void Multiply(ReadOnlyMemory<short> a, ReadOnlyMemory<short> b, Memory<byte> sums, int rows, int depth, int columns)
    {
        if (rows == 0 || columns == 0)
            return;
        KernelThreads.Split(rows, (from, to) =>
        {
            for (int row = from; row < to; row++)
            {
                Span<int> sum = MemoryMarshal.Cast<byte, int>(sums.Span).Slice(row * columns, columns);
                sum.Clear();
                ReadOnlySpan<short> left = a.Span.Slice(row * depth, depth);
                for (int k = 0; k < depth; k++)
                {
                    if (left[k] != 0)
                        AddProduct(sum, left[k], b.Span.Slice(k * columns, columns));
                }
            }
        });
    }

    private static void AddProduct(Span<int> sum, int factor, ReadOnlySpan<short> row)
    {
        ref int s = ref MemoryMarshal.GetReference(sum);
        ref short r = ref MemoryMarshal.GetReference(row);
        int i = 0;
        for (; i <= row.Length - Vector<short>.Count; i += Vector<short>.Count)
        {
            System.Numerics.Vector.Widen(System.Numerics.Vector.LoadUnsafe(ref r, (nuint)i), out Vector<int> low, out Vector<int> high);
            nuint behind = (nuint)(i + Vector<int>.Count);
            System.Numerics.Vector.StoreUnsafe(System.Numerics.Vector.LoadUnsafe(ref s, (nuint)i) + low * factor, ref s, (nuint)i);
            System.Numerics.Vector.StoreUnsafe(System.Numerics.Vector.LoadUnsafe(ref s, behind) + high * factor, ref s, behind);
        }
        for (; i < row.Length; i++)
            sum[i] += factor * row[i];
    }
}
