using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>All that the code of a convolution tile depends on: shape constants are baked in, pointers and numbers are not. Equal specs share code.</summary>
/// <remarks>A tile is a few output pixels times a few blocks of 16 output channels. The products of a pixel lie in memory as
/// <see cref="Runs"/> runs of <see cref="RunQuads"/> times four bytes (one run a kernel row, or one a tap where taps do not touch).</remarks>
internal sealed record ConvTileSpec
{
    /// <summary>Where each pixel's window starts, in bytes from the first one's.</summary>
    public required PixelOffsets Pixels { get; init; }

    /// <summary>Blocks of 16 output channels, 1 to 8. Two blocks make a pair, whose weights and numbers lie together.</summary>
    public required int ChannelBlocks { get; init; }

    /// <summary>Bytes from the weights of a pair of blocks to those of the next pair.</summary>
    public required int PairWeightStep { get; init; }

    /// <summary>Bytes from weights to those that are wanted next, which are fetched ahead; 0 where they are near enough as it is.</summary>
    public int PrefetchStep { get; init; }

    /// <summary>Output channels in the last block, 1 to 16.</summary>
    public required int LastBlockChannels { get; init; }

    /// <summary>Where each run starts, in bytes from the window's start.</summary>
    public required PixelOffsets Runs { get; init; }

    /// <summary>Groups of four bytes in a run.</summary>
    public required int RunQuads { get; init; }

    /// <summary>Bytes from a tile's input to the next one's.</summary>
    public required int InputStep { get; init; }

    /// <summary>Bytes from a pixel's output to the next one's: all output channels.</summary>
    public required int OutputPixelStep { get; init; }

    /// <summary>Which steps the formula has.</summary>
    public required FormShape Form { get; init; }

    /// <summary>The sum that the outputs go into, if any.</summary>
    public SumShape? Sum { get; init; }

    /// <summary>The tile is done in two halves, so that one's products are made while the other is requantized. For a single run, two blocks and
    /// <see cref="ConvTileCode.LeastOverlapped"/> to <see cref="ConvTileCode.MostOverlapped"/> pixels.</summary>
    public bool Overlaps { get; init; }
}

/// <summary>The steps of a sum by ratios (<see cref="BinaryRule.ByRatios"/>) behind a convolution, without its numbers. Both operands and the result are of one dtype.</summary>
/// <param name="ConvIsInner">The convolution's product is the inner one.</param>
/// <param name="Signed">They are qint8.</param>
internal readonly record struct SumShape(bool ConvIsInner, bool Signed)
{
    /// <summary>The sum that code can make itself of a formula's outputs; null for other rules.</summary>
    public static SumShape? Of(FormShape form, in BinaryRule rule) => rule.IsByRatios && rule.SignedX == form.Signed ? new SumShape(rule.FirstIsInner, form.Signed) : null;
}

/// <summary>The steps of a <see cref="RequantizationForm"/>, without its numbers.</summary>
/// <param name="Fused">A fused bias.</param>
/// <param name="AddBefore">An addition before the multiplier.</param>
/// <param name="AddAfter">An addition after it.</param>
/// <param name="Factor">A common factor.</param>
/// <param name="Tail">How it ends.</param>
/// <param name="Signed">qint8 output.</param>
/// <param name="Floor">The smallest output is above the dtype's minimum: a ReLU.</param>
/// <param name="Ceiling">The largest output is below the dtype's maximum: a ReLU6, a Clip.</param>
/// <param name="Bounded">No sum of this layer comes near 2^31 output steps, so that conversion to int32 and saturating packs are the whole clamping.</param>
internal readonly record struct FormShape(bool Fused, bool AddBefore, bool AddAfter, bool Factor, RequantizationTail Tail, bool Signed, bool Floor, bool Bounded, bool Ceiling = false)
{
    /// <param name="form">The formula.</param>
    /// <param name="start">What the accumulators start from.</param>
    /// <param name="depth">Products of a sum, each of at most 255 x 128.</param>
    public static FormShape Of(RequantizationForm form, int[] start, int depth)
    {
        // Outputs of 0 to 127 and within are the same bytes in both dtypes.
        bool signed = form.Low < 0 || form.High == sbyte.MaxValue;
        (int least, int most) = signed ? ((int)sbyte.MinValue, (int)sbyte.MaxValue) : (byte.MinValue, byte.MaxValue);
        return new FormShape(form.FusedBias is not null, form.AddBefore is not null, form.AddAfter is not null, form.Factor is not null, form.Tail,
            signed, form.Low > least, IsBounded(form, start, depth), form.High < most);
    }

    private static bool IsBounded(RequantizationForm form, int[] start, int depth)
    {
        const double limit = 1 << 30;
        double sum = (double)depth * byte.MaxValue * -sbyte.MinValue + start.Max(s => Math.Abs((double)s));
        if (sum > limit)
            return false;
        for (int c = 0; c < start.Length; c++)
        {
            double v = sum;
            if (form.FusedBias is not null)
                v += Math.Abs((double)form.FusedBias[c] * form.FusedFactor![c]);
            v = (v + Math.Abs(form.AddBefore?[c] ?? 0)) * Math.Abs(form.Multiplier[c]) + Math.Abs(form.AddAfter?[c] ?? 0);
            if (!(v * Math.Abs(form.Factor ?? 1) < limit))
                return false;
        }
        return true;
    }
}

/// <summary>A list of offsets that compares by value.</summary>
internal sealed class PixelOffsets(int[] values) : IEquatable<PixelOffsets>
{
    public int[] Values { get; } = values;

    public int Count => Values.Length;

    public bool Equals(PixelOffsets? other) => other is not null && Values.AsSpan().SequenceEqual(other.Values);

    public override bool Equals(object? obj) => Equals(obj as PixelOffsets);

    public override int GetHashCode()
    {
        HashCode hash = default;
        foreach (int v in Values)
            hash.Add(v);
        return hash.ToHashCode();
    }
}
