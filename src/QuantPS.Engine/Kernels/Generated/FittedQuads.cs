using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of one or two blocks of 8 output channels in an order, and where needed in parts, whose products VPMADDUBSW adds in 16 bits without saturation.</summary>
/// <remarks>
/// A quad is four neighbouring inputs, unsigned bytes, with the signed weights of each channel. VPMADDUBSW adds the products of its first and of its last two inputs in a lane
/// of 16 bits each; with positive weights of at most 128 in sum and negative ones of at least -128 a lane stays within 255 * 128 = 32640. Where two weights do not keep to
/// that, the quad is taken apart into two with the same inputs, each with half of them. Two to four quads that keep to it together are a group: their lanes are added in 16 bits, so
/// that one widening to 32 bits does for all. Two blocks have the same groups, so that code goes through both with one broadcast of each quad's inputs. All of it is exact, whatever
/// the inputs are. Inputs that are known to be 127 at most leave room for twice the weights: then no quad is taken apart (two weights are 256 at most), and more of them are in
/// large groups.
/// </remarks>
internal sealed class FittedQuads
{
    /// <summary>Quads of a group at most.</summary>
    public const int MostInGroup = 4;

    private const int BlockBytes = 8 * 4, BlockLanes = BlockBytes / 2;

    // Of the candidates for a group, those that are looked at.
    private const int MostTried = 512;

    private readonly List<Fitted[]> groups = [];
    private readonly int quadBytes;

    /// <param name="weights">32 bytes a quad and block: four weights of each of 8 output channels.</param>
    /// <param name="blocks">One or two.</param>
    /// <param name="mostInput">The largest input, 127 to 255.</param>
    public FittedQuads(ReadOnlySpan<sbyte> weights, int blocks, int mostInput)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(mostInput, 127);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mostInput, byte.MaxValue);
        int most = short.MaxValue / mostInput;
        List<Fitted> quads = [];
        Blocks = blocks;
        quadBytes = blocks * BlockBytes;
        Span<sbyte> part = stackalloc sbyte[quadBytes], rest = stackalloc sbyte[quadBytes];
        for (int quad = 0; quad < weights.Length / quadBytes; quad++)
        {
            weights.Slice(quad * quadBytes, quadBytes).CopyTo(part);
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
            FilledLanes filled = first.Value.Filled;
            int tried = 0;
            for (LinkedListNode<Fitted>? node = left.First, next; node is not null && group.Count < MostInGroup && tried < MostTried; node = next, tried++)
            {
                next = node.Next;
                FilledLanes together = filled + node.Value.Filled;
                if (!together.KeepTo((ushort)most))
                    continue;
                filled = together;
                group.Add(node.Value);
                left.Remove(node);
            }
            groups.Add([.. group]);
        }
        // Stable, largest groups first: the order in which the code takes them.
        groups = [.. groups.OrderByDescending(g => g.Length)];
    }

    /// <summary>One or two.</summary>
    public int Blocks { get; }

    /// <summary>Instructions that a tile of them takes.</summary>
    public int Instructions => groups.Sum(g => ConvTileCode256.InstructionsOfGroup(Blocks, g.Length));

    /// <summary>All quads, those of a group side by side.</summary>
    public IEnumerable<int> Order => groups.SelectMany(g => g).Select(q => q.Quad);

    /// <summary>How many quads are in groups of so many.</summary>
    public int QuadsInGroupsOf(int size) => groups.Where(g => g.Length == size).Sum(g => g.Length);

    /// <summary>Writes the weights in <see cref="Order"/>, 32 bytes a quad and block.</summary>
    public void Write(Span<sbyte> to)
    {
        foreach (Fitted quad in groups.SelectMany(g => g))
        {
            quad.Weights.CopyTo(to);
            to = to[quadBytes..];
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

    /// <summary>Weights of a quad.</summary>
    private sealed class Fitted
    {
        public Fitted(int quad, sbyte[] weights)
        {
            Quad = quad;
            Weights = weights;
            Span<ushort> above = stackalloc ushort[2 * BlockLanes], below = stackalloc ushort[2 * BlockLanes];
            above.Clear();
            below.Clear();
            for (int lane = 0; lane < weights.Length / 2; lane++)
            {
                int first = weights[2 * lane], second = weights[2 * lane + 1];
                above[lane] = (ushort)(Math.Max(first, 0) + Math.Max(second, 0));
                below[lane] = (ushort)-(Math.Min(first, 0) + Math.Min(second, 0));
                Load += above[lane] * above[lane] + below[lane] * below[lane];
            }
            Filled = new FilledLanes(Vector256.Create<ushort>(above), Vector256.Create<ushort>(below), Vector256.Create<ushort>(above[BlockLanes..]), Vector256.Create<ushort>(below[BlockLanes..]));
        }

        /// <summary>The quad whose weights, or part of them, these are.</summary>
        public int Quad { get; }

        public sbyte[] Weights { get; }

        public FilledLanes Filled { get; }

        /// <summary>How full the lanes are: the sum of the squares.</summary>
        public int Load { get; }
    }

    /// <summary>Lane l, of 16 a block, are two neighbouring weights: their positive ones in sum, and the negative ones without their sign.</summary>
    private readonly record struct FilledLanes(Vector256<ushort> Positive, Vector256<ushort> Negative, Vector256<ushort> SecondPositive, Vector256<ushort> SecondNegative)
    {
        public static FilledLanes operator +(in FilledLanes a, in FilledLanes b) =>
            new(a.Positive + b.Positive, a.Negative + b.Negative, a.SecondPositive + b.SecondPositive, a.SecondNegative + b.SecondNegative);

        public bool KeepTo(ushort most) => Vector256.LessThanOrEqualAll(Vector256.Max(Vector256.Max(Positive, Negative), Vector256.Max(SecondPositive, SecondNegative)), Vector256.Create(most));
    }
}
