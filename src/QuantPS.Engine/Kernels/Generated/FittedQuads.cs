using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of a block of 8 output channels in an order, and where needed in parts, whose products VPMADDUBSW adds in 16 bits without saturation.</summary>
/// <remarks>
/// A quad is four neighbouring inputs, unsigned bytes, with the signed weights of each channel. VPMADDUBSW adds the products of its first and of its last two inputs in a lane
/// of 16 bits each; with positive weights of at most 128 in sum and negative ones of at least -128 a lane stays within 255 * 128 = 32640. Where two weights do not keep to
/// that, the quad is taken apart into two with the same inputs, each with half of them. Two to four quads that keep to it together are a group: their lanes are added in 16 bits, so
/// that one widening to 32 bits does for all. All of it is exact, whatever the inputs are. Inputs that are known to be 127 at most leave room for twice the weights: then no quad is
/// taken apart (two weights are 256 at most), and more of them are in large groups.
/// </remarks>
internal sealed class FittedQuads
{
    /// <summary>Quads of a group at most.</summary>
    public const int MostInGroup = 4;

    private const int Channels = 8, QuadBytes = Channels * 4, Lanes = QuadBytes / 2;

    // Of the candidates for a group, those that are looked at.
    private const int MostTried = 512;

    private readonly List<Fitted[]> groups = [];

    /// <param name="weights">32 bytes a quad: four weights of each of 8 output channels.</param>
    /// <param name="mostInput">The largest input, 127 to 255.</param>
    public FittedQuads(ReadOnlySpan<sbyte> weights, int mostInput)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(mostInput, 127);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mostInput, byte.MaxValue);
        int most = short.MaxValue / mostInput;
        List<Fitted> quads = [];
        Span<sbyte> part = stackalloc sbyte[QuadBytes], rest = stackalloc sbyte[QuadBytes];
        for (int quad = 0; quad < weights.Length / QuadBytes; quad++)
        {
            weights.Slice(quad * QuadBytes, QuadBytes).CopyTo(part);
            bool whole = TakeApart(part, rest, most);
            quads.Add(new Fitted(quad, part.ToArray()));
            if (!whole)
                quads.Add(new Fitted(quad, rest.ToArray()));
        }
        // The fullest first, each with the fullest that fit: the emptier ones are easier to find a place for.
        quads.Sort((a, b) => b.Load != a.Load ? b.Load.CompareTo(a.Load) : a.Quad.CompareTo(b.Quad));
        LinkedList<Fitted> left = new(quads);
        while (left.First is { } first)
        {
            left.Remove(first);
            List<Fitted> group = [first.Value];
            Vector256<ushort> positive = first.Value.Positive, negative = first.Value.Negative;
            int tried = 0;
            for (LinkedListNode<Fitted>? node = left.First, next; node is not null && group.Count < MostInGroup && tried < MostTried; node = next, tried++)
            {
                next = node.Next;
                Vector256<ushort> above = positive + node.Value.Positive, below = negative + node.Value.Negative;
                if (!Vector256.LessThanOrEqualAll(Vector256.Max(above, below), Vector256.Create((ushort)most)))
                    continue;
                (positive, negative) = (above, below);
                group.Add(node.Value);
                left.Remove(node);
            }
            groups.Add([.. group]);
        }
        // Stable, largest groups first: the order in which the code takes them.
        groups = [.. groups.OrderByDescending(g => g.Length)];
    }

    /// <summary>All quads, those of a group side by side.</summary>
    public IEnumerable<int> Order => groups.SelectMany(g => g).Select(q => q.Quad);

    /// <summary>How many quads are in groups of so many.</summary>
    public int QuadsInGroupsOf(int size) => groups.Where(g => g.Length == size).Sum(g => g.Length);

    /// <summary>Writes the weights in <see cref="Order"/>, 32 bytes a quad.</summary>
    public void Write(Span<sbyte> to)
    {
        foreach (Fitted quad in groups.SelectMany(g => g))
        {
            quad.Weights.CopyTo(to);
            to = to[QuadBytes..];
        }
    }

    /// <summary>Moves half of every two neighbouring weights that are above the most, 128 or more, or below minus that, in sum. True if there are none.</summary>
    private static bool TakeApart(Span<sbyte> part, Span<sbyte> rest, int most)
    {
        bool whole = true;
        rest.Clear();
        for (int i = 0; i < part.Length; i += 2)
        {
            // Of two with different signs neither is above 128.
            if (Math.Abs(part[i] + part[i + 1]) <= most)
                continue;
            whole = false;
            for (int k = i; k < i + 2; k++)
            {
                rest[k] = (sbyte)(part[k] / 2);
                part[k] -= rest[k];
            }
        }
        return whole;
    }

    /// <summary>Weights of a quad; lane l, of 16, are two neighbouring ones.</summary>
    private sealed class Fitted
    {
        public Fitted(int quad, sbyte[] weights)
        {
            Quad = quad;
            Weights = weights;
            Span<ushort> above = stackalloc ushort[Lanes], below = stackalloc ushort[Lanes];
            for (int lane = 0; lane < Lanes; lane++)
            {
                int first = weights[2 * lane], second = weights[2 * lane + 1];
                above[lane] = (ushort)(Math.Max(first, 0) + Math.Max(second, 0));
                below[lane] = (ushort)-(Math.Min(first, 0) + Math.Min(second, 0));
                Load += above[lane] * above[lane] + below[lane] * below[lane];
            }
            Positive = Vector256.Create<ushort>(above);
            Negative = Vector256.Create<ushort>(below);
        }

        /// <summary>The quad whose weights, or part of them, these are.</summary>
        public int Quad { get; }

        public sbyte[] Weights { get; }

        /// <summary>A lane's positive weights in sum.</summary>
        public Vector256<ushort> Positive { get; }

        /// <summary>A lane's negative weights in sum, without their sign.</summary>
        public Vector256<ushort> Negative { get; }

        /// <summary>How full the lanes are: the sum of the squares.</summary>
        public int Load { get; }
    }
}
