using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of a block of 8 output channels in an order, and where needed in parts, whose products VPMADDUBSW adds in 16 bits without saturation.</summary>
/// <remarks>
/// A quad is four neighbouring inputs, unsigned bytes, with the signed weights of each channel. VPMADDUBSW adds the products of its first and of its last two inputs in a lane
/// of 16 bits each; with positive weights of at most 128 in sum and negative ones of at least -128 a lane stays within 255 * 128 = 32640. Where two weights do not keep to
/// that, the quad is taken apart into two with the same inputs, each with half of them. Two or three quads that keep to it together are a group: their lanes are added in 16 bits, so
/// that one widening to 32 bits does for all. A quad on its own takes two multiplications, one of two takes three, one of three four. All of it is exact, whatever the inputs are.
/// </remarks>
internal sealed class FittedQuads
{
    /// <summary>Quads of a group at most.</summary>
    public const int MostInGroup = 3;

    private const int Channels = 8, QuadBytes = Channels * 4, Lanes = QuadBytes / 2, Most = 128;

    // Of the candidates for a group, those that are looked at.
    private const int MostTried = 512;

    private readonly List<Fitted[]> groups = [];

    /// <param name="weights">32 bytes a quad: four weights of each of 8 output channels.</param>
    public FittedQuads(ReadOnlySpan<sbyte> weights)
    {
        List<Fitted> quads = [];
        Span<sbyte> part = stackalloc sbyte[QuadBytes], rest = stackalloc sbyte[QuadBytes];
        for (int quad = 0; quad < weights.Length / QuadBytes; quad++)
        {
            weights.Slice(quad * QuadBytes, QuadBytes).CopyTo(part);
            bool whole = TakeApart(part, rest);
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
            Vector128<byte> positive = first.Value.Positive, negative = first.Value.Negative;
            int tried = 0;
            for (LinkedListNode<Fitted>? node = left.First, next; node is not null && group.Count < MostInGroup && tried < MostTried; node = next, tried++)
            {
                next = node.Next;
                // Each is 128 at most, and two of these are 255 with saturation: too much, as they should be.
                Vector128<byte> above = Vector128.AddSaturate(positive, node.Value.Positive), below = Vector128.AddSaturate(negative, node.Value.Negative);
                if (!Vector128.LessThanOrEqualAll(Vector128.Max(above, below), Vector128.Create((byte)Most)))
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

    /// <summary>Moves half of every two neighbouring weights that are above 128 or below -128 in sum. True if there are none.</summary>
    private static bool TakeApart(Span<sbyte> part, Span<sbyte> rest)
    {
        bool whole = true;
        rest.Clear();
        for (int i = 0; i < part.Length; i += 2)
        {
            // Of two with different signs neither is above 128.
            if (Math.Abs(part[i] + part[i + 1]) <= Most)
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
            Span<byte> above = stackalloc byte[Lanes], below = stackalloc byte[Lanes];
            for (int lane = 0; lane < Lanes; lane++)
            {
                int first = weights[2 * lane], second = weights[2 * lane + 1];
                above[lane] = (byte)(Math.Max(first, 0) + Math.Max(second, 0));
                below[lane] = (byte)-(Math.Min(first, 0) + Math.Min(second, 0));
                Load += above[lane] * above[lane] + below[lane] * below[lane];
            }
            Positive = Vector128.Create<byte>(above);
            Negative = Vector128.Create<byte>(below);
        }

        /// <summary>The quad whose weights, or part of them, these are.</summary>
        public int Quad { get; }

        public sbyte[] Weights { get; }

        /// <summary>A lane's positive weights in sum.</summary>
        public Vector128<byte> Positive { get; }

        /// <summary>A lane's negative weights in sum, without their sign.</summary>
        public Vector128<byte> Negative { get; }

        /// <summary>How full the lanes are: the sum of the squares.</summary>
        public int Load { get; }
    }
}
