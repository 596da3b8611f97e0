using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>8-bit tensors whose elements are only moved, picked or repeated; parameters unchanged. Reads either layout.</summary>
public static class QuantizedRearrange
{
    /// <summary>Dimensions in another order: result dimension d is input dimension order[d].</summary>
    /// <exception cref="QuantException">ShapeMismatch: not an order of the dimensions; UnsupportedDType.</exception>
    public static QuantizedTensor Permute(QuantizedTensor x, ReadOnlySpan<int> order)
    {
        int[] wanted = order.ToArray();
        if (!wanted.Order().SequenceEqual(Enumerable.Range(0, x.Rank)))
            throw new QuantException(ErrorIds.ShapeMismatch, $"[{TensorShape.Format(wanted)}] is no order of the dimensions of [{TensorShape.Format(x.Dims)}].", x);
        Memory<byte> bytes = Lying(x, out int[] strides, out _);
        int[] shape = [.. wanted.Select(d => x.Dims[d])];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x, KernelLayout.Contiguous, out Memory<byte> result);
        RearrangeKernel.Run(bytes, result, [.. wanted.Select((d, i) => Table(Enumerable.Range(0, shape[i]), strides[d]))]);
        return y;
    }

    /// <summary>Along every dimension the given positions, in their order, as often as they come: y[i, j, ...] = x[positions 0 [i], positions 1 [j], ...].</summary>
    /// <param name="x">8-bit integers.</param>
    /// <param name="positions">A list per dimension; null for all of it as it is.</param>
    /// <exception cref="QuantException">ShapeMismatch: a list too many or too few, or a position outside its dimension; UnsupportedDType.</exception>
    public static QuantizedTensor Pick(QuantizedTensor x, IReadOnlyList<int[]?> positions)
    {
        if (positions.Count != x.Rank)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{positions.Count} lists of positions for the {x.Rank} dimensions of [{TensorShape.Format(x.Dims)}].", x);
        Memory<byte> bytes = Lying(x, out int[] strides, out bool pixels);
        var tables = new int[x.Rank][];
        for (int d = 0; d < tables.Length; d++)
        {
            int size = x.Dims[d];
            IEnumerable<int> wanted = positions[d] ?? Enumerable.Range(0, size);
            if (positions[d] is { } given && Array.Exists(given, i => (uint)i >= (uint)size))
                throw new QuantException(ErrorIds.ShapeMismatch, $"Position {given.First(i => (uint)i >= (uint)size)} is outside dimension {d} of [{TensorShape.Format(x.Dims)}].", x);
            tables[d] = Table(wanted, strides[d]);
        }
        int[] shape = [.. tables.Select(t => t.Length)];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x, pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous, out Memory<byte> result);
        RearrangeKernel.Run(bytes, result, pixels ? [tables[0], .. tables[2..], tables[1]] : tables);
        return y;
    }

    private static int[] Table(IEnumerable<int> positions, int stride) => [.. positions.Select(i => i * stride)];

    /// <summary>The bytes as they lie, and what a step along each dimension means there.</summary>
    private static Memory<byte> Lying(QuantizedTensor x, out int[] strides, out bool pixels)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        strides = new int[x.Rank];
        pixels = x.TryGetChannelsLast(out Memory<byte> bytes);
        int step = pixels ? x.Dims[1] : 1;
        for (int d = x.Rank - 1; d >= 0; d--)
        {
            if (pixels && d == 1)
            {
                strides[1] = 1;
                continue;
            }
            strides[d] = step;
            step *= x.Dims[d];
        }
        return pixels ? bytes : x.Memory;
    }
}
