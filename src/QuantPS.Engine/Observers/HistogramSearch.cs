using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Chooses the part of a histogram's range that quantizes with the smallest squared error: PyTorch's _non_linear_param_search.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py, HistogramObserver._non_linear_param_search, _compute_quantization_error, _get_norm (1.13 and
/// 2.x alike). Bin by bin everything is float32 in PyTorch's order; sums are formed in double and rounded to float32 once, while PyTorch's own
/// order of summation depends on the width of the CPU's vectors. The chosen range was the same in all 750 comparisons with PyTorch.</remarks>
internal sealed class HistogramSearch
{
    private const double StepSize = 1e-5;

    private readonly HistogramState state;
    private readonly int targetBins;
    private readonly int bins;
    private readonly double binWidth;
    private readonly float[] density;
    private readonly float[] terms;

    private HistogramSearch(HistogramState state, QDType dtype)
    {
        this.state = state;
        // Bins after quantization: 2^bits of the dtype's storage, also with a reduced range; quint4x2 counts with 8 bits in PyTorch.
        targetBins = 1 << Math.Max(8, dtype.Bits());
        bins = state.Counts.Length;
        binWidth = ((double)state.Max - state.Min) / bins;
        // Padded to whole vectors; the terms of the padding are computed and not summed.
        int padded = (bins + Vector256<float>.Count - 1) / Vector256<float>.Count * Vector256<float>.Count;
        density = new float[padded];
        terms = new float[padded];
        for (int b = 0; b < bins; b++)
            density[b] = state.Counts[b] / (float)binWidth;
    }

    /// <summary>The range to quantize.</summary>
    public static (float Min, float Max) Find(HistogramState state, QDType dtype) => new HistogramSearch(state, dtype).Find();

    private (float Min, float Max) Find()
    {
        float width = (state.Max - state.Min) / bins;
        double total = (float)PairwiseSum.Of(state.Counts);
        float[] cumulative = new float[bins];
        double sum = 0;
        for (int b = 0; b < bins; b++)
            cumulative[b] = (float)(sum += state.Counts[b]);

        double alpha = 0, beta = 1, best = double.PositiveInfinity;
        int start = 0, end = bins - 1;
        while (alpha < beta)
        {
            double nextAlpha = alpha + StepSize, nextBeta = beta - StepSize;
            float lower = (float)(nextAlpha * total), upper = (float)(nextBeta * total);
            int left = start, right = end;
            while (left < end && cumulative[left] < lower)
                left++;
            while (right > start && cumulative[right] > upper)
                right--;
            (int nextStart, int nextEnd) = (start, end);
            if (left - start > end - right)
            {
                nextStart = left;
                alpha = nextAlpha;
            }
            else
            {
                nextEnd = right;
                beta = nextBeta;
            }
            if (nextStart == start && nextEnd == end)
                continue;
            double error = Error(nextStart, nextEnd);
            if (error > best)
                break;
            (best, start, end) = (error, nextStart, nextEnd);
        }
        return (state.Min + width * start, state.Min + width * (end + 1));
    }

    /// <summary>The squared error when bins <paramref name="start"/>..<paramref name="end"/> are quantized and the rest is clipped.</summary>
    private double Error(int start, int end)
    {
        double target = binWidth * (end - start + 1) / targetBins;
        if (target == 0)
            return 0;
        float width = (float)binWidth, targetWidth = (float)target, half = (float)(target / 2), minusHalf = -half;
        float halfCubed = half * half * half, minusHalfCubed = minusHalf * minusHalf * minusHalf;
        Vector256<float> middleNorm = Vector256.Create((halfCubed - minusHalfCubed) / 3f);
        Vector256<float> widths = Vector256.Create(width), targets = Vector256.Create(targetWidth), halves = Vector256.Create(half);
        Vector256<float> halfCubes = Vector256.Create(halfCubed), minusHalfCubes = Vector256.Create(minusHalfCubed);
        Vector256<float> three = Vector256.Create(3f), one = Vector256<float>.One, pointFive = Vector256.Create(0.5f);
        Vector256<float> lastTarget = Vector256.Create(targetBins - 1f);
        Vector256<int> index = Vector256<int>.Indices - Vector256.Create(start);
        ref float densities = ref MemoryMarshal.GetArrayDataReference(density);
        ref float results = ref MemoryMarshal.GetArrayDataReference(terms);
        for (int b = 0; b < density.Length; b += Vector256<float>.Count)
        {
            Vector256<float> d = Vector256.LoadUnsafe(ref densities, (nuint)b);
            Vector256<float> sourceBegin = Vector256.ConvertToSingle(index) * widths;
            Vector256<float> sourceEnd = sourceBegin + widths;
            Vector256<float> targetBegin = TargetBin(sourceBegin, targets, lastTarget);
            Vector256<float> targetEnd = TargetBin(sourceEnd, targets, lastTarget);
            Vector256<float> x = sourceBegin - (targetBegin + pointFive) * targets;
            Vector256<float> term = d * ((halfCubes - x * x * x) / three);
            term += (targetEnd - targetBegin - one) * (d * middleNorm);
            x = sourceEnd - (targetEnd * targets + halves);
            term += d * ((x * x * x - minusHalfCubes) / three);
            term.StoreUnsafe(ref results, (nuint)b);
            index += Vector256.Create(Vector256<int>.Count);
        }
        return (float)PairwiseSum.Of(terms.AsSpan(0, bins));
    }

    /// <summary>floor(position / width), limited to 0..last, of the exact quotient.</summary>
    /// <remarks>torch.div(rounding_mode='floor') corrects its quotient by fmod, which makes it exact below 2^23. Here the rounded quotient is at most one
    /// too big, when it was rounded up to an integer; the sign of the fused remainder, which is exact, tells.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> TargetBin(Vector256<float> position, Vector256<float> width, Vector256<float> last)
    {
        Vector256<float> quotient = Vector256.Min(Vector256.Max(Vector256.Floor(position / width), Vector256<float>.Zero), last);
        Vector256<float> remainder = Vector256.FusedMultiplyAdd(-quotient, width, position);
        Vector256<float> one = Vector256.LessThan(remainder, Vector256<float>.Zero) & Vector256<float>.One;
        return Vector256.Max(quotient - one, Vector256<float>.Zero);
    }
}
