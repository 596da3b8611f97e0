using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Two shapes brought to one by NumPy's rule: aligned at the last dimension, size 1 repeats.</summary>
internal sealed class Broadcast
{
    // Outermost first; dimensions along which both operands advance alike are one.
    private readonly List<(int Size, int StepA, int StepB)> dims = [];

    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public Broadcast(ReadOnlySpan<int> a, ReadOnlySpan<int> b)
    {
        int rank = Math.Max(a.Length, b.Length);
        Shape = new int[rank];
        int strideA = 1, strideB = 1;
        for (int d = 1; d <= rank; d++)
        {
            int sizeA = d <= a.Length ? a[^d] : 1, sizeB = d <= b.Length ? b[^d] : 1;
            if (sizeA != sizeB && sizeA != 1 && sizeB != 1)
                throw new QuantException(ErrorIds.ShapeMismatch, $"Tensors of shapes [{TensorShape.Format(a)}] and [{TensorShape.Format(b)}] cannot be combined: each dimension must be equal, or 1 in one of them.");
            int size = sizeA == 1 ? sizeB : sizeA;
            Shape[^d] = size;
            Add(size, sizeA == 1 ? 0 : strideA, sizeB == 1 ? 0 : strideB);
            strideA *= sizeA;
            strideB *= sizeB;
        }
    }

    public int[] Shape { get; }

    /// <summary>How many innermost stretches there are.</summary>
    public int Runs => Length == 0 ? 0 : TensorShape.Count(Shape) / Length;

    /// <summary>Length of a stretch.</summary>
    public int Length => dims.Count == 0 ? 1 : dims[^1].Size;

    /// <summary>True where both operands have the result's shape: one stretch, all along.</summary>
    public bool IsPlain => dims.Count == 0 || dims is [(_, 1, 1)];

    /// <summary>One operand has a value per channel, the other one per pixel and channel, channels last: for how many images, pixels and channels, and whether
    /// it is the second that has few. Null for anything else.</summary>
    public (int Images, int Pixels, int Channels, bool SecondIsRow)? RowsOfPixels()
    {
        if (dims is not [.., (int pixels, int stepA, int stepB), (int channels, 1, 1)] || dims.Count > 3)
            return null;
        bool second = (stepA, stepB) == (channels, 0);
        if (!second && (stepA, stepB) != (0, channels))
            return null;
        if (dims.Count == 2)
            return (1, pixels, channels, second);
        (int images, int imageA, int imageB) = dims[0];
        return (imageA, imageB) == (second ? (pixels * channels, channels) : (channels, pixels * channels)) ? (images, pixels, channels, second) : null;
    }

    /// <summary>Calls run(output start, a start, b start, length, a step, b step) for the innermost stretches [first, end); steps are 0 or 1.</summary>
    public void ForEachRun(int first, int end, Action<int, int, int, int, int, int> run)
    {
        (int length, int stepA, int stepB) = dims.Count == 0 ? (1, 0, 0) : dims[^1];
        int[] outer = [.. dims.Take(Math.Max(0, dims.Count - 1)).Select(d => d.Size)];
        for (int i = first; i < end; i++)
        {
            int a = 0, b = 0, rest = i;
            for (int d = outer.Length - 1; d >= 0; d--)
            {
                (rest, int at) = Math.DivRem(rest, outer[d]);
                a += at * dims[d].StepA;
                b += at * dims[d].StepB;
            }
            run(i * length, a, b, length, stepA, stepB);
        }
    }

    // Dimensions arrive from the innermost outwards.
    private void Add(int size, int stepA, int stepB)
    {
        if (size == 1)
            return;
        if (dims.Count > 0)
        {
            (int inner, int innerA, int innerB) = dims[0];
            if (stepA == inner * innerA && stepB == inner * innerB)
            {
                dims[0] = (inner * size, innerA, innerB);
                return;
            }
        }
        dims.Insert(0, (size, stepA, stepB));
    }
}
