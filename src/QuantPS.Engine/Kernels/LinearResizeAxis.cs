namespace QuantPS.Engine.Kernels;

/// <summary>Linear interpolation along a dimension: of each output position the two input positions that it lies between, and their weights.</summary>
/// <remarks>Source: onnxruntime core/providers/cpu/tensor/upsample.cc, SetupUpsampleBilinear, in float32: a position is first brought into [0, size - 1]; where both
/// neighbours are the last pixel, each weighs a half.</remarks>
public sealed class LinearResizeAxis
{
    /// <param name="size">Of the input, at least 1.</param>
    /// <param name="positions">Of each output position where it lies in the input, in pixels; outside it is the edge.</param>
    public LinearResizeAxis(int size, ReadOnlySpan<float> positions)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        Size = size;
        (First, Second) = (new int[positions.Length], new int[positions.Length]);
        (FirstWeights, SecondWeights) = (new float[positions.Length], new float[positions.Length]);
        for (int i = 0; i < positions.Length; i++)
        {
            float position = MathF.Max(0f, MathF.Min(positions[i], size - 1));
            First[i] = Math.Min((int)position, size - 1);
            Second[i] = Math.Min(First[i] + 1, size - 1);
            bool edge = First[i] == Second[i];
            FirstWeights[i] = edge ? 0.5f : MathF.Abs(position - Second[i]);
            SecondWeights[i] = edge ? 0.5f : MathF.Abs(position - First[i]);
        }
    }

    private LinearResizeAxis(LinearResizeAxis each, int channels)
    {
        Size = each.Size * channels;
        First = Places(each.First);
        Second = Places(each.Second);
        FirstWeights = [.. each.FirstWeights.SelectMany(w => Enumerable.Repeat(w, channels))];
        SecondWeights = [.. each.SecondWeights.SelectMany(w => Enumerable.Repeat(w, channels))];

        int[] Places(int[] pixels) => [.. pixels.SelectMany(p => Enumerable.Range(p * channels, channels))];
    }

    /// <summary>Input positions.</summary>
    public int Size { get; }

    /// <summary>Output positions.</summary>
    public int Count => First.Length;

    internal int[] First { get; }

    internal int[] Second { get; }

    internal float[] FirstWeights { get; }

    internal float[] SecondWeights { get; }

    /// <summary>The same for rows of pixels of several channels, value by value.</summary>
    internal LinearResizeAxis OfChannels(int channels) => channels == 1 ? this : new LinearResizeAxis(this, channels);
}
