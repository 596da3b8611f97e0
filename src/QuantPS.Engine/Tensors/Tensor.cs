using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Tensors;

/// <summary>A float32 tensor, row-major. Images are N, C, H, W.</summary>
/// <remarks>Deliberately not enumerable: PowerShell would unroll it in the pipeline.</remarks>
public sealed class Tensor
{
    private readonly int[] shape;
    private readonly Memory<float> data;

    /// <summary>A tensor of zeros.</summary>
    public Tensor(params int[] shape)
    {
        this.shape = (int[])shape.Clone();
        data = new AlignedBuffer<float>(TensorShape.Count(shape)).Memory;
    }

    /// <summary>A tensor over existing memory (not copied).</summary>
    /// <exception cref="QuantException">ShapeMismatch: the number of elements does not match the shape.</exception>
    public Tensor(int[] shape, Memory<float> data)
    {
        int count = TensorShape.Count(shape);
        if (data.Length != count)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{data.Length} values cannot fill the shape [{TensorShape.Format(shape)}], which has {count} elements.");
        this.shape = (int[])shape.Clone();
        this.data = data;
    }

    /// <summary>Sizes of the dimensions (a copy).</summary>
    public int[] Shape => (int[])shape.Clone();

    /// <summary>Sizes of the dimensions, without copying.</summary>
    public ReadOnlySpan<int> Dims => shape;

    public int Rank => shape.Length;

    /// <summary>Number of elements.</summary>
    public int Length => data.Length;

    /// <summary>Where the tensor came from: a file and, in a file of many, the index. Null when it was computed.</summary>
    public string? Source { get; init; }

    /// <summary>How many samples the file or files it came from give in all, where that is known beforehand: progress bars show the time left by it.</summary>
    public long? SequenceLength { get; init; }

    /// <summary>Name of the graph value it is, when it came out of a model.</summary>
    public string? Name { get; init; }

    /// <summary>The elements, row-major.</summary>
    public Span<float> Span => data.Span;

    /// <summary>The elements, row-major.</summary>
    public Memory<float> Memory => data;

    /// <summary>The elements as an array (a copy), row-major.</summary>
    public float[] ToArray() => data.ToArray();

    /// <summary>One element, one number per dimension. Negative ones count from the end.</summary>
    public float this[params int[] index]
    {
        get => data.Span[TensorShape.Offset(shape, index)];
        set => data.Span[TensorShape.Offset(shape, index)] = value;
    }

    // PowerShell finds $t[0, 1, 2] only where an indexer has just as many parameters; 3-D convolutions have five dimensions.

    /// <inheritdoc cref="this[int[]]"/>
    public float this[int i]
    {
        get => data.Span[TensorShape.Offset(shape, [i])];
        set => data.Span[TensorShape.Offset(shape, [i])] = value;
    }

    /// <inheritdoc cref="this[int[]]"/>
    public float this[int i, int j]
    {
        get => data.Span[TensorShape.Offset(shape, [i, j])];
        set => data.Span[TensorShape.Offset(shape, [i, j])] = value;
    }

    /// <inheritdoc cref="this[int[]]"/>
    public float this[int i, int j, int k]
    {
        get => data.Span[TensorShape.Offset(shape, [i, j, k])];
        set => data.Span[TensorShape.Offset(shape, [i, j, k])] = value;
    }

    /// <inheritdoc cref="this[int[]]"/>
    public float this[int i, int j, int k, int l]
    {
        get => data.Span[TensorShape.Offset(shape, [i, j, k, l])];
        set => data.Span[TensorShape.Offset(shape, [i, j, k, l])] = value;
    }

    /// <inheritdoc cref="this[int[]]"/>
    public float this[int i, int j, int k, int l, int m]
    {
        get => data.Span[TensorShape.Offset(shape, [i, j, k, l, m])];
        set => data.Span[TensorShape.Offset(shape, [i, j, k, l, m])] = value;
    }

    /// <summary>The same elements under another shape; one dimension may be -1.</summary>
    /// <exception cref="QuantException">ShapeMismatch: the number of elements differs.</exception>
    public Tensor Reshape(params int[] newShape)
    {
        int[] s = (int[])newShape.Clone();
        int free = Array.IndexOf(s, -1);
        if (free >= 0)
        {
            s[free] = 1;
            int rest = TensorShape.Count(s);
            s[free] = rest == 0 ? 0 : Length / rest;
        }
        return new Tensor(s, data) { Source = Source, Name = Name };
    }

    /// <summary>Index of the first element that is NaN or infinite, or -1.</summary>
    public int FirstNonFinite()
    {
        ReadOnlySpan<float> s = data.Span;
        for (int i = 0; i < s.Length; i++)
            if (!float.IsFinite(s[i]))
                return i;
        return -1;
    }

    /// <summary>Smallest element; NaN if there is one; +inf when empty.</summary>
    public float Min()
    {
        float m = float.PositiveInfinity;
        foreach (float v in data.Span)
            m = MathF.Min(m, v);
        return m;
    }

    /// <summary>Largest element; NaN if there is one; -inf when empty.</summary>
    public float Max()
    {
        float m = float.NegativeInfinity;
        foreach (float v in data.Span)
            m = MathF.Max(m, v);
        return m;
    }

    /// <summary>Index of the largest element of every row along the last dimension; the first one on a tie. One number per row: the class of every image of a batch.</summary>
    /// <exception cref="QuantException">InvalidShape: a scalar, or empty rows.</exception>
    public int[] ArgMax()
    {
        if (Rank == 0 || shape[^1] == 0)
            throw new QuantException(ErrorIds.InvalidShape, $"A tensor of shape [{TensorShape.Format(shape)}] has no rows to take the largest element of.", this);
        var best = new int[Length / shape[^1]];
        ReadOnlySpan<float> s = data.Span;
        for (int row = 0; row < best.Length; row++)
        {
            ReadOnlySpan<float> values = s.Slice(row * shape[^1], shape[^1]);
            for (int i = 1; i < values.Length; i++)
                if (values[i] > values[best[row]])
                    best[row] = i;
        }
        return best;
    }

    /// <summary>Mean of the elements, accumulated in double; NaN when empty.</summary>
    public double Mean()
    {
        double sum = 0;
        foreach (float v in data.Span)
            sum += v;
        return sum / Length;
    }

    public override string ToString() => $"Tensor float32 [{TensorShape.Format(shape)}]" + (Source is null ? "" : $" from {Source}");
}
