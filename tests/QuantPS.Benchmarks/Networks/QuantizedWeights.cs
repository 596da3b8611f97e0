namespace QuantPS.Benchmarks.Networks;

/// <summary>Weights as quantization per channel leaves them.</summary>
internal static class QuantizedWeights
{
    /// <summary>Normal values, each channel's scaled so that its largest is 127 or -127.</summary>
    /// <param name="random">Where they come from.</param>
    /// <param name="outputs">Channels.</param>
    /// <param name="depth">Weights of a channel.</param>
    public static sbyte[] Normal(Random random, int outputs, int depth)
    {
        var weights = new sbyte[outputs * depth];
        var values = new double[depth];
        for (int o = 0; o < outputs; o++)
        {
            // Box and Muller 1958.
            for (int k = 0; k < depth; k++)
                values[k] = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            double scale = sbyte.MaxValue / values.Max(Math.Abs);
            for (int k = 0; k < depth; k++)
                weights[o * depth + k] = (sbyte)Math.Round(values[k] * scale);
        }
        return weights;
    }
}
