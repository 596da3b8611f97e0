using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
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
        if (PermuteInPlace(x, wanted) is { } same)
            return same;
        if (!wanted.Order().SequenceEqual(Enumerable.Range(0, x.Rank)))
            throw new QuantException(ErrorIds.ShapeMismatch, $"[{TensorShape.Format(wanted)}] is no order of the dimensions of [{TensorShape.Format(x.Dims)}].", x);
        Memory<byte> bytes = Lying(x, out int[] strides, out _);
        int[] shape = [.. wanted.Select(d => x.Dims[d])];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x, KernelLayout.Contiguous, out Memory<byte> result);
        PermuteKernel.Run(bytes, 0, result, shape, [.. wanted.Select(d => strides[d])]);
        return y;
    }

    /// <summary>Channels behind all other dimensions, of pixels, and the way back, of images: both lie as they are, so the result has the input's memory. Null for any other order.</summary>
    private static QuantizedTensor? PermuteInPlace(QuantizedTensor x, int[] order)
    {
        int last = x.Rank - 1;
        if (order.Length != x.Rank || last < 2 || !x.DType.IsEightBit() || x.QParams.IsPerChannel)
            return null;
        int[] behind = [0, .. Enumerable.Range(2, last - 1), 1], front = [0, last, .. Enumerable.Range(1, last - 1)];
        bool pixels = x.TryGetChannelsLast(out Memory<byte> bytes);
        if (pixels ? !order.AsSpan().SequenceEqual(behind) : last < 3 || !order.AsSpan().SequenceEqual(front))
            return null;
        return new QuantizedTensor([.. order.Select(d => x.Dims[d])], pixels ? bytes : x.Memory, x.QParams, pixels ? KernelLayout.Contiguous : KernelLayout.ChannelsLast) { Source = x.Source };
    }

    /// <summary>The positions [start, start + count) along one dimension, all along the others.</summary>
    /// <exception cref="QuantException">ShapeMismatch: outside the dimension; UnsupportedDType.</exception>
    public static QuantizedTensor Cut(QuantizedTensor x, int axis, int start, int count)
    {
        if (start < 0 || count < 0 || start > x.Dims[axis] - count)
            throw new QuantException(ErrorIds.ShapeMismatch, $"Positions {start} to {start + count - 1} are outside dimension {axis} of [{TensorShape.Format(x.Dims)}].", x);
        Memory<byte> bytes = Lying(x, out _, out bool pixels);
        int[] shape = x.Shape;
        shape[axis] = count;
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x, pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous, out Memory<byte> result);
        // In memory pixels have the channels behind all others.
        int inner = pixels ? axis == 1 ? 1 : TensorShape.Count(x.Dims[(axis + 1)..]) * (axis == 0 ? 1 : x.Dims[1]) : TensorShape.Count(x.Dims[(axis + 1)..]);
        RunsKernel.Run(bytes[(start * inner)..], result, [result.Length / Math.Max(1, count * inner)], [x.Dims[axis] * inner], count * inner);
        return y;
    }

    /// <summary>With a margin of one integer.</summary>
    /// <param name="x">8-bit integers.</param>
    /// <param name="before">Elements in front, per dimension.</param>
    /// <param name="after">Elements behind.</param>
    /// <param name="value">The integer of the margin, of the input's dtype; for real 0 the zero point.</param>
    /// <exception cref="QuantException">ShapeMismatch: a margin too many or too few, or a negative one; UnsupportedDType.</exception>
    public static QuantizedTensor Pad(QuantizedTensor x, ReadOnlySpan<int> before, ReadOnlySpan<int> after, int value)
    {
        if (before.Length != x.Rank || after.Length != x.Rank || before.ContainsAnyInRange(int.MinValue, -1) || after.ContainsAnyInRange(int.MinValue, -1))
            throw new QuantException(ErrorIds.ShapeMismatch, $"Margins [{TensorShape.Format(before)}] and [{TensorShape.Format(after)}] for the {x.Rank} dimensions of [{TensorShape.Format(x.Dims)}].", x);
        Memory<byte> bytes = Lying(x, out _, out bool pixels);
        int[] shape = x.Shape;
        for (int d = 0; d < shape.Length; d++)
            shape[d] += before[d] + after[d];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x, pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous, out Memory<byte> result);
        if (pixels)
            PadKernel.Run(bytes, result, Turned(x.Dims), Turned(before), Turned(after), unchecked((byte)value));
        else
            PadKernel.Run(bytes, result, x.Dims, before, after, unchecked((byte)value));
        return y;

        static int[] Turned(ReadOnlySpan<int> dims) => [dims[0], .. dims[2..], dims[1]];
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
