using QuantPS.Engine.Errors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Running sums for how far quantized values are from float ones; nothing is kept of a tensor.</summary>
public sealed class ErrorSums
{
    private double signal, noise, quantized, product;

    /// <summary>Signal to quantization noise ratio, dB: 10 log10(sum of float squares / sum of squared differences). Infinite without any difference.</summary>
    public double SqnrDb => noise == 0 ? double.PositiveInfinity : 10 * Math.Log10(signal / noise);

    /// <summary>Cosine of the angle between the two, taken as vectors.</summary>
    // Two zero vectors point the same way; one of them alone has no direction.
    public double Cosine => signal == 0 && quantized == 0 ? 1 : product / Math.Sqrt(signal * quantized);

    /// <summary>Largest absolute difference.</summary>
    public double MaxError { get; private set; }

    /// <summary>Elements compared.</summary>
    public long Count { get; private set; }

    /// <summary>Takes in the values of one tensor.</summary>
    /// <param name="expected">Float.</param>
    /// <param name="actual">Dequantized.</param>
    /// <param name="name">For messages.</param>
    /// <exception cref="QuantException">ShapeMismatch: different numbers of elements.</exception>
    public void Add(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string name)
    {
        if (expected.Length != actual.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"'{name}': {actual.Length} quantized values against {expected.Length} float ones.", name);
        for (int i = 0; i < expected.Length; i++)
        {
            double e = expected[i], a = actual[i], d = a - e;
            signal += e * e;
            quantized += a * a;
            product += e * a;
            noise += d * d;
            MaxError = Math.Max(MaxError, Math.Abs(d));
        }
        Count += expected.Length;
    }
}
