using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Models;

/// <summary>Running sums for a layer's error; nothing is kept of a tensor.</summary>
internal sealed class ErrorSums
{
    private double signal, noise, quantized, product, worst;
    private long count;

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
            worst = Math.Max(worst, Math.Abs(d));
        }
        count += expected.Length;
    }

    public LayerError ToError(string layer, string op) => new()
    {
        Layer = layer,
        Op = op,
        SqnrDb = noise == 0 ? double.PositiveInfinity : 10 * Math.Log10(signal / noise),
        // Two zero vectors point the same way; one of them alone has no direction.
        Cosine = signal == 0 && quantized == 0 ? 1 : product / Math.Sqrt(signal * quantized),
        MaxError = worst,
        Elements = count,
    };
}
