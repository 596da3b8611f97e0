using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Keeps PyTorch's histogram and quantizes the range that gives the smallest squared error with the very parameters it would
/// get.</summary>
/// <remarks>The method: a candidate range [l, h] goes through calculate_qparams to the scale and zero point it would be quantized with (dtype,
/// scheme, reduced or custom range and all); its error is the sum over the bins of count * (m - dequantize(quantize(m)))^2, m the bin's
/// middle, in double.
/// Candidates are l = L * i/64, h = H * j/64 (i, j = 1..64; a symmetric scheme has one end, in 4096 steps), where [L, H] is the observed
/// range with zero
/// in it; then the neighbourhood of the best, in sixteenths of a step. The larger range wins a tie. Other than PyTorch's search, this one
/// knows the
/// grid: it counts rounding to it, zero point included, not an assumed even spread. Merging as in <see cref="BinnedObserver"/>.</remarks>
public sealed class MseObserver : BinnedObserver
{
    private const int Steps = 64;
    private const int Fine = 16;

    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-channel scheme. UnsupportedDType: qint32.
    /// InvalidArgument: no bins.</exception>
    public MseObserver(ObserverSpec spec) : base(spec)
    {
    }

    private protected override (float Min, float Max) Search(HistogramState state)
    {
        float low = MathF.Min(state.Min, 0f), high = MathF.Max(state.Max, 0f);
        if (low == high)
            return (state.Min, state.Max);
        double width = ((double)state.Max - state.Min) / state.Counts.Length;
        (double Middle, double Count)[] bins = [.. state.Counts.Select((c, b) => (state.Min + (b + 0.5) * width, (double)c)).Where(b => b.Item2 > 0)];

        double best = double.PositiveInfinity;
        (float Min, float Max) chosen = (low, high);
        (int I, int J) at = (Steps * Fine, Steps * Fine);
        const int all = Steps * Fine;
        if (Spec.Scheme.IsSymmetric())
        {
            float end = MathF.Max(-low, high);
            for (int k = 4 * all; k > 0; k--)
                Try(-(end * k / (4 * all)), end * k / (4 * all), 0, 0);
            return chosen;
        }
        // An end that is zero already has nothing to move.
        for (int i = all; i > 0; i -= low < 0 ? Fine : all)
        {
            for (int j = all; j > 0; j -= high > 0 ? Fine : all)
                Try(low * i / all, high * j / all, i, j);
        }
        (int aroundI, int aroundJ) = at;
        for (int i = Math.Min(all, aroundI + Fine - 1); i > Math.Max(0, aroundI - Fine); i--)
        {
            for (int j = Math.Min(all, aroundJ + Fine - 1); j > Math.Max(0, aroundJ - Fine); j--)
            {
                Try(low * i / all, high * j / all, i, j);
                if (high == 0)
                    break;
            }
            if (low == 0)
                break;
        }
        return chosen;

        void Try(float min, float max, int i, int j)
        {
            double error = Error(bins, min, max, best);
            if (error < best)
                (best, chosen, at) = (error, (min, max), (i, j));
        }
    }

    /// <summary>The squared error of a range; once it is not smaller than <paramref name="best"/>, it is not worth finishing.</summary>
    private double Error((double Middle, double Count)[] bins, float min, float max, double best)
    {
        (float[] scales, int[] zeroPoints, _) = QParamsCalculator.CalculateRaw([min], [max], Spec.DType, Spec.Scheme, Range, Spec.Eps);
        double scale = scales[0], inverse = 1 / scale, first = (double)Range.Min - zeroPoints[0], last = (double)Range.Max - zeroPoints[0], sum = 0;
        foreach ((double middle, double count) in bins)
        {
            double error = middle - scale * Math.Clamp(Math.Round(middle * inverse, MidpointRounding.ToEven), first, last);
            sum += count * error * error;
            if (sum >= best)
                break;
        }
        return sum;
    }
}
