namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What generated kernels' accumulators start from.</summary>
internal static class AccumulatorStart
{
    /// <summary>Per output channel: minus z_x times the sum of the weights, plus the integer bias, with wrap-around. Weights are symmetric.</summary>
    public static int[] Of(ConvProblem problem)
    {
        int[]? bias = problem.Requantizer.Form.IntegerBias;
        var values = new int[problem.OutputChannels];
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        for (int o = 0; o < values.Length; o++)
        {
            (int above, int below) = WeightSums.Of(w.Slice(o * problem.Depth, problem.Depth));
            values[o] = unchecked(-problem.InputZeroPoint * (above - below) + (bias?[o] ?? 0));
        }
        return values;
    }
}
