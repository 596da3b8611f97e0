using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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

    private const int BlockBytes = 8 * 4;

    // Of the candidates for a group, those that are looked at.
    private const int MostTried = 512;

    private readonly sbyte[] weights;
    private readonly int[] order;

    // By the groups' size.
    private readonly int[] quadsInGroups = new int[MostInGroup + 1];

    /// <param name="weights">32 bytes a quad and block: four weights of each of 8 output channels.</param>
    /// <param name="blocks">One or two.</param>
    /// <param name="mostInput">The largest input, 127 to 255.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public FittedQuads(ReadOnlySpan<sbyte> weights, int blocks, int mostInput)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(mostInput, 127);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mostInput, byte.MaxValue);
        Blocks = blocks;
        int quadBytes = blocks * BlockBytes, most = short.MaxValue / mostInput;
        ReadOnlySpan<sbyte> parts = TakenApart(weights, quadBytes, most, out int[] quads);
        (FilledLanes[] filled, int[] sorted) = Fullest(parts, quadBytes);
        int[] grouped = Grouped(filled, (ushort)most, out byte[] sizes);
        // Stable, largest groups first: the order in which the code takes them.
        this.weights = new sbyte[parts.Length];
        order = new int[grouped.Length];
        int at = 0;
        for (int size = MostInGroup; size >= 1; size--)
        {
            int before = at;
            for (int first = 0, group = 0; first < grouped.Length; first += sizes[group++])
            {
                for (int i = first; i < first + size && sizes[group] == size; i++, at++)
                {
                    int part = sorted[grouped[i]];
                    order[at] = quads[part];
                    parts.Slice(part * quadBytes, quadBytes).CopyTo(this.weights.AsSpan(at * quadBytes));
                }
            }
            quadsInGroups[size] = at - before;
        }
    }

    /// <summary>One or two.</summary>
    public int Blocks { get; }

    /// <summary>Instructions that a tile of them takes.</summary>
    public int Instructions
    {
        get
        {
            int sum = 0;
            for (int size = 1; size <= MostInGroup; size++)
                sum += quadsInGroups[size] / size * ConvTileCode256.InstructionsOfGroup(Blocks, size);
            return sum;
        }
    }

    /// <summary>All quads, those of a group side by side.</summary>
    public ReadOnlySpan<int> Order => order;

    /// <summary>How many quads are in groups of so many.</summary>
    public int QuadsInGroupsOf(int size) => quadsInGroups[size];

    /// <summary>Writes the weights in <see cref="Order"/>, 32 bytes a quad and block.</summary>
    public void Write(Span<sbyte> to) => weights.CopyTo(to);

    /// <summary>The weights, where two neighbouring ones are above the most, or below minus that, in sum, as two parts that follow each other.</summary>
    /// <param name="weights">Of all quads.</param>
    /// <param name="quadBytes">Of a quad.</param>
    /// <param name="most">128 or more.</param>
    /// <param name="quads">The quad of each part.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ReadOnlySpan<sbyte> TakenApart(ReadOnlySpan<sbyte> weights, int quadBytes, int most, out int[] quads)
    {
        int count = weights.Length / quadBytes;
        quads = new int[count];
        for (int quad = 0; quad < count; quad++)
            quads[quad] = quad;
        // Of two with different signs neither is above 128.
        const int mostOfTwo = 2 * -sbyte.MinValue;
        if (most >= mostOfTwo)
            return weights;
        List<int> quadOf = new(2 * count);
        var parts = new sbyte[2 * weights.Length];
        for (int quad = 0; quad < count; quad++)
        {
            Span<sbyte> part = parts.AsSpan(quadOf.Count * quadBytes, quadBytes), rest = parts.AsSpan((quadOf.Count + 1) * quadBytes, quadBytes);
            weights.Slice(quad * quadBytes, quadBytes).CopyTo(part);
            rest.Clear();
            bool whole = true;
            for (int i = 0; i < part.Length; i += 2)
            {
                if (Math.Abs(part[i] + part[i + 1]) <= most)
                    continue;
                whole = false;
                for (int k = i; k < i + 2; k++)
                {
                    rest[k] = (sbyte)(part[k] / 2);
                    part[k] -= rest[k];
                }
            }
            quadOf.Add(quad);
            if (!whole)
                quadOf.Add(quad);
        }
        quads = [.. quadOf];
        return parts.AsSpan(0, quadOf.Count * quadBytes);
    }

    /// <summary>Parts in falling order of how full their lanes are, the sum of the squares: emptier ones are easier to find a place for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (FilledLanes[] Filled, int[] Sorted) Fullest(ReadOnlySpan<sbyte> parts, int quadBytes)
    {
        int count = parts.Length / quadBytes;
        var filled = new FilledLanes[count];
        var keys = new long[count];
        for (int part = 0; part < count; part++)
        {
            filled[part] = new FilledLanes(parts.Slice(part * quadBytes, quadBytes));
            keys[part] = (long)(int.MaxValue - filled[part].SumOfSquares()) << 32 | (uint)part;
        }
        Array.Sort(keys);
        var inOrder = new FilledLanes[count];
        var sorted = new int[count];
        for (int i = 0; i < count; i++)
            inOrder[i] = filled[sorted[i] = (int)keys[i]];
        return (inOrder, sorted);
    }

    /// <summary>Groups one behind the other: the first part that is left, with the first others that keep to the most together.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int[] Grouped(FilledLanes[] filled, ushort most, out byte[] sizes)
    {
        int count = filled.Length, at = 0, groups = 0;
        // Of each part the next one that is left; the last entry's is the first of all.
        var next = new int[count + 1];
        for (int part = 0; part < count; part++)
            next[part] = part + 1;
        next[count] = 0;
        var grouped = new int[count];
        sizes = new byte[count];
        while (at < count)
        {
            int first = next[count], size = 1;
            next[count] = next[first];
            grouped[at++] = first;
            FilledLanes sum = filled[first];
            for (int before = count, part = next[count], tried = 0; part < count && size < MostInGroup && tried < MostTried; part = next[before], tried++)
            {
                FilledLanes together = sum + filled[part];
                if (!together.KeepTo(most))
                {
                    before = part;
                    continue;
                }
                sum = together;
                grouped[at++] = part;
                size++;
                next[before] = next[part];
            }
            sizes[groups++] = (byte)size;
        }
        return grouped;
    }

    /// <summary>Lane l, of 16 a block, are two neighbouring weights: their positive ones in sum, and the negative ones without their sign.</summary>
    private readonly struct FilledLanes
    {
        private readonly Vector256<ushort> positive, negative, secondPositive, secondNegative;

        /// <param name="weights">Of a part.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public FilledLanes(ReadOnlySpan<sbyte> weights)
        {
            ref sbyte first = ref MemoryMarshal.GetReference(weights);
            (positive, negative) = Lanes(Vector256.LoadUnsafe(ref first));
            if (weights.Length > BlockBytes)
                (secondPositive, secondNegative) = Lanes(Vector256.LoadUnsafe(ref first, BlockBytes));
        }

        private FilledLanes(Vector256<ushort> positive, Vector256<ushort> negative, Vector256<ushort> secondPositive, Vector256<ushort> secondNegative) =>
            (this.positive, this.negative, this.secondPositive, this.secondNegative) = (positive, negative, secondPositive, secondNegative);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static FilledLanes operator +(in FilledLanes a, in FilledLanes b) =>
            new(a.positive + b.positive, a.negative + b.negative, a.secondPositive + b.secondPositive, a.secondNegative + b.secondNegative);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool KeepTo(ushort most) => Vector256.LessThanOrEqualAll(Vector256.Max(Vector256.Max(positive, negative), Vector256.Max(secondPositive, secondNegative)), Vector256.Create(most));

        public int SumOfSquares() => (int)(Squares(positive) + Squares(negative) + Squares(secondPositive) + Squares(secondNegative));

        private static uint Squares(Vector256<ushort> lanes)
        {
            (Vector256<uint> low, Vector256<uint> high) = Vector256.Widen(lanes);
            return Vector256.Sum(low * low + high * high);
        }

        private static (Vector256<ushort> Positive, Vector256<ushort> Negative) Lanes(Vector256<sbyte> weights)
        {
            // Bytes 2 l and 2 l + 1 as int16.
            Vector256<short> pairs = weights.AsInt16(), even = pairs << 8 >> 8, odd = pairs >> 8, zero = default;
            return ((Vector256.Max(even, zero) + Vector256.Max(odd, zero)).AsUInt16(), (-(Vector256.Min(even, zero) + Vector256.Min(odd, zero))).AsUInt16());
        }
    }
}
