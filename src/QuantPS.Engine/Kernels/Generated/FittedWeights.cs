using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of a convolution as <see cref="FittedQuads"/>, in units that code is run for: one or two blocks of 8 output channels each.</summary>
internal sealed unsafe class FittedWeights : IDisposable
{
    private const int BlockBytes = 4 * ConvTileCode256.Lanes;

    private readonly PackedMemory memory;
    private readonly Unit[] units;

    // Quads of all units.
    private readonly int quads;

    /// <param name="fitted">The weights of each unit; null where there is none.</param>
    public FittedWeights(FittedQuads?[] fitted)
    {
        units = new Unit[fitted.Length];
        long bytes = 0;
        for (int unit = 0; unit < units.Length; unit++)
        {
            units[unit] = new Unit(bytes, quads, (fitted[unit]?.Blocks ?? 0) * BlockBytes, fitted[unit] is { } own ? own.Order.ToArray() : []);
            quads += units[unit].Order.Length;
            bytes += units[unit].Bytes;
        }
        memory = new PackedMemory(bytes);
        for (int unit = 0; unit < units.Length; unit++)
        {
            if (fitted[unit] is not { } weights)
                continue;
            weights.Write(new Span<sbyte>(WeightsOf(unit), units[unit].Bytes));
            var end = (long)WeightsOf(unit);
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                units[unit].Ends[i] = end += (long)weights.QuadsInGroupsOf(FittedQuads.MostInGroup - i) * units[unit].QuadBytes;
        }
    }

    /// <summary>Bytes of all weights.</summary>
    public long Bytes => memory.Bytes;

    /// <summary>A unit's weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public sbyte* WeightsOf(int unit) => (sbyte*)memory.Address + units[unit].Place;

    /// <summary>The place among all quads of a unit's first one.</summary>
    public int FirstOf(int unit) => units[unit].First;

    /// <summary>Where a unit's groups of each size end, the largest first: addresses.</summary>
    public ReadOnlySpan<long> EndsOf(int unit) => units[unit].Ends;

    /// <summary>Where in the window each quad of each unit is read, in bytes.</summary>
    /// <param name="runOffsets">Where each run of bytes that lie side by side starts.</param>
    /// <param name="runQuads">Quads of a run.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public PackedMemory Offsets(int[] runOffsets, int runQuads)
    {
        PackedMemory offsets = new((long)quads * sizeof(int));
        var to = (int*)offsets.Address;
        foreach (Unit unit in units)
            foreach (int quad in unit.Order)
                *to++ = runOffsets[quad / runQuads] + quad % runQuads * 4;
        return offsets;
    }

    /// <summary>The weights of a quad that was not taken apart: 32 bytes a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public sbyte* WeightsOf(int unit, int quad) => WeightsOf(unit) + units[unit].Places[quad] * units[unit].QuadBytes;

    public void Dispose() => memory.Dispose();

    /// <summary>The quads of a unit: which they are, and where groups of each size end, the largest first.</summary>
    private sealed class Unit
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public Unit(long place, int first, int quadBytes, int[] order)
        {
            (Place, First, QuadBytes, Order) = (place, first, quadBytes, order);
            Places = new int[order.Length];
            for (int at = 0; at < order.Length; at++)
                Places[order[at]] = at;
        }

        /// <summary>Of the weights among those of all units, in bytes.</summary>
        public long Place { get; }

        /// <summary>The place among all quads of the first one.</summary>
        public int First { get; }

        /// <summary>Weights of a quad, in bytes.</summary>
        public int QuadBytes { get; }

        public int[] Order { get; }

        public int Bytes => Order.Length * QuadBytes;

        public long[] Ends { get; } = new long[FittedQuads.MostInGroup];

        /// <summary>Of each quad the place in <see cref="Order"/>, the last one if it is there in parts.</summary>
        public int[] Places { get; }
    }
}
