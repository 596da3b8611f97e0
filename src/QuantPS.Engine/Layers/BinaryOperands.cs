using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Which operands nobody needs any more.</summary>
[Flags]
public enum SpentOperand
{
    None = 0,
    First = 1,
    Second = 2,
}

/// <summary>Two 8-bit tensors, their result, and how they lie: pixel by pixel where both do, so that nothing has to be turned; else row-major.</summary>
internal readonly struct BinaryOperands
{
    /// <param name="x">One operand.</param>
    /// <param name="y">The other.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="anyLayout">Every pair is treated alike, wherever it lies.</param>
    /// <param name="spent">Operands whose memory the result may take, if it is as large.</param>
    /// <exception cref="Errors.QuantException">ShapeMismatch: the shapes do not broadcast.</exception>
    public BinaryOperands(QuantizedTensor x, QuantizedTensor y, QParams output, bool anyLayout, SpentOperand spent = SpentOperand.None)
    {
        Memory<byte> left = default, right = default;
        bool pixels = anyLayout && Math.Max(x.Rank, y.Rank) > 2 && Lies(x, y.Rank, out left) && Lies(y, x.Rank, out right);
        if (!pixels)
            (left, right) = (x.Memory, y.Memory);
        (X, Y) = (left, right);
        Broadcast = new Broadcast(pixels ? LastChannels(x.Dims, y.Rank) : x.Dims, pixels ? LastChannels(y.Dims, x.Rank) : y.Dims);
        int[] shape = Broadcast.Shape;
        // Back to channels first.
        int[] given = pixels ? [shape[0], shape[^1], .. shape[1..^1]] : shape;
        KernelLayout layout = pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        int count = TensorShape.Count(given);
        Memory<byte> bytes = default;
        bool overX = (spent & SpentOperand.First) != 0 && left.Length == count, overY = (spent & SpentOperand.Second) != 0 && right.Length == count;
        Result = overX || overY ? new QuantizedTensor(given, bytes = overX ? left : right, output, layout) { Source = x.Source } : OperatorChecks.NewTensor(given, output, x, layout, out bytes);
        Z = bytes;
    }

    public ReadOnlyMemory<byte> X { get; }

    public ReadOnlyMemory<byte> Y { get; }

    /// <summary>The result's bytes, to be filled.</summary>
    public Memory<byte> Z { get; }

    /// <summary>Of the bytes as they lie.</summary>
    public Broadcast Broadcast { get; }

    public QuantizedTensor Result { get; }

    /// <summary>Fewer dimensions are filled up in front, which leaves one value per channel, or per pixel, as it lies in either layout.</summary>
    private static bool Lies(QuantizedTensor t, int otherRank, out Memory<byte> bytes)
    {
        if (t.Rank >= otherRank)
            return t.TryGetChannelsLast(out bytes);
        int[] shape = Filled(t.Dims, otherRank);
        bytes = t.Memory;
        return shape[1] == 1 || TensorShape.Count(shape.AsSpan(2)) == 1;
    }

    private static int[] LastChannels(ReadOnlySpan<int> shape, int otherRank)
    {
        int[] filled = Filled(shape, otherRank);
        return [filled[0], .. filled[2..], filled[1]];
    }

    private static int[] Filled(ReadOnlySpan<int> shape, int rank) => [.. Enumerable.Repeat(1, Math.Max(0, rank - shape.Length)), .. shape];
}
