using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>The last thing that was made of a node's inputs, for as long as they are the same objects: constants are, so their kernels are
/// packed once.</summary>
internal sealed class Memo<T>
{
    private volatile Entry? last;

    /// <param name="inputs">What it is made of; the elements count by identity.</param>
    /// <param name="variant">What else it depends on: small numbers.</param>
    /// <param name="make">Makes it.</param>
    public T Get(GraphValue?[] inputs, int[] variant, Func<T> make)
    {
        Entry? entry = last;
        if (entry is null || !variant.AsSpan().SequenceEqual(entry.Variant) || !Same(inputs, entry.Inputs))
            last = entry = new Entry(inputs, variant, make());
        return entry.Value;
    }

    private static bool Same(GraphValue?[] a, GraphValue?[] b)
    {
        for (int i = 0; i < a.Length; i++)
        {
            if (!ReferenceEquals(a[i], b[i]))
                return false;
        }
        return true;
    }

    private sealed record Entry(GraphValue?[] Inputs, int[] Variant, T Value);
}
