using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of a pair of channel blocks in an order, and where needed in parts, whose products VPMADDUBSW adds in 16 bits without saturation.</summary>
/// <remarks>
/// A quad is four neighbouring inputs, unsigned bytes, with the signed weights of 16 output channels. VPMADDUBSW adds the products of its first and of its last two inputs
/// in a lane of 16 bits each; with positive weights of at most 128 in sum and negative ones of at least -128 a lane stays within 255 * 128 = 32640. Quads that do not keep to
/// that are taken apart into two with the same inputs, the second with what the first leaves over. And two quads that keep to it together are doubles: their lanes are added
/// in 16 bits, so that both are widened to 32 bits at once, by three multiplications rather than four. All of it is exact, whatever the inputs are.
/// </remarks>
internal sealed class FittedQuads
{
    private const int Channels = 16, QuadBytes = Channels * 4, Most = 128;

    // Of the candidates for a double, those that are looked at.
    private const int MostTried = 256;

    private readonly List<Fitted> singles = [];
    private readonly List<(Fitted First, Fitted Second)> doubles = [];

    /// <param name="weights">64 bytes a quad: four weights of each of 16 output channels.</param>
    public FittedQuads(ReadOnlySpan<sbyte> weights)
    {
        List<Fitted> quads = [];
        Span<sbyte> part = stackalloc sbyte[QuadBytes], rest = stackalloc sbyte[QuadBytes];
        for (int quad = 0; quad < weights.Length / QuadBytes; quad++)
        {
            weights.Slice(quad * QuadBytes, QuadBytes).CopyTo(part);
            bool whole = TakeOver(part, rest);
            quads.Add(new Fitted(quad, part.ToArray()));
            if (!whole)
                quads.Add(new Fitted(quad, rest.ToArray()));
        }
        // The fullest first, each with the fullest that fits: the emptier ones are easier to find a partner for.
        quads.Sort((a, b) => b.Load != a.Load ? b.Load.CompareTo(a.Load) : a.Quad.CompareTo(b.Quad));
        var taken = new bool[quads.Count];
        for (int i = 0; i < quads.Count; i++)
        {
            if (taken[i])
                continue;
            int partner = -1;
            for (int j = i + 1, tried = 0; j < quads.Count && tried < MostTried; j++)
            {
                if (taken[j])
                    continue;
                tried++;
                if (quads[i].FitsWith(quads[j]))
                {
                    partner = j;
                    break;
                }
            }
            if (partner < 0)
            {
                singles.Add(quads[i]);
                continue;
            }
            taken[partner] = true;
            doubles.Add((quads[i], quads[partner]));
        }
    }

    /// <summary>Pairs of quads whose products are added in 16 bits.</summary>
    public int Doubles => doubles.Count;

    /// <summary>Quads on their own.</summary>
    public int Singles => singles.Count;

    /// <summary>Quads in the order of the weights: both of every double, then the singles.</summary>
    public IEnumerable<int> Order => [.. doubles.SelectMany(d => new[] { d.First.Quad, d.Second.Quad }), .. singles.Select(s => s.Quad)];

    /// <summary>Writes the weights in this order; of each quad only the first channels, 4 bytes each, if so many are said.</summary>
    /// <param name="to">Receives <paramref name="channels"/> times four bytes a quad.</param>
    /// <param name="channels">8 or 16.</param>
    public void Write(Span<sbyte> to, int channels)
    {
        int bytes = channels * 4;
        foreach (Fitted quad in doubles.SelectMany(d => new[] { d.First, d.Second }).Concat(singles))
        {
            quad.Weights.AsSpan(0, bytes).CopyTo(to);
            to = to[bytes..];
        }
    }

    /// <summary>Takes from each pair of weights what is above 128 or below -128 in sum. True if there was nothing to take.</summary>
    private static bool TakeOver(Span<sbyte> part, Span<sbyte> rest)
    {
        bool whole = true;
        rest.Clear();
        for (int i = 0; i < part.Length; i += 2)
        {
            int sum = part[i] + part[i + 1], over = sum - Math.Clamp(sum, -Most, Most);
            // Only two of the same sign get there, so that the second has as much to give.
            part[i + 1] = (sbyte)(part[i + 1] - over);
            rest[i + 1] = (sbyte)over;
            whole &= over == 0;
        }
        return whole;
    }

    /// <summary>Weights of a quad; lane l, of 32, are two neighbouring ones.</summary>
    private sealed class Fitted
    {
        // The sums of a lane's positive weights, and those of its negative ones without their sign.
        private readonly Vector256<byte> positive, negative;

        public Fitted(int quad, sbyte[] weights)
        {
            Quad = quad;
            Weights = weights;
            Span<byte> above = stackalloc byte[QuadBytes / 2], below = stackalloc byte[QuadBytes / 2];
            for (int lane = 0; lane < above.Length; lane++)
            {
                int first = weights[2 * lane], second = weights[2 * lane + 1];
                above[lane] = (byte)(Math.Max(first, 0) + Math.Max(second, 0));
                below[lane] = (byte)-(Math.Min(first, 0) + Math.Min(second, 0));
                Load += above[lane] * above[lane] + below[lane] * below[lane];
            }
            positive = Vector256.Create<byte>(above);
            negative = Vector256.Create<byte>(below);
        }

        /// <summary>The quad whose weights, or part of them, these are.</summary>
        public int Quad { get; }

        public sbyte[] Weights { get; }

        /// <summary>How full its lanes are: the sum of the squares.</summary>
        public int Load { get; }

        public bool FitsWith(Fitted other)
        {
            // Each is 128 at most, and two of these are 255 with saturation: too much, as they should be.
            Vector256<byte> above = Vector256.AddSaturate(positive, other.positive), below = Vector256.AddSaturate(negative, other.negative);
            return Vector256.LessThanOrEqualAll(Vector256.Max(above, below), Vector256.Create((byte)Most));
        }
    }
}
