namespace QuantPS.Engine.Observers;

/// <summary>Works out the bins of values, as many at a time as a vector has lanes, and lays them side by side.</summary>
/// <remarks>A position has <see cref="EvenEdges.ClearBits"/> bits behind the point: one that rounds to an edge is not clear, half a unit of the last bit is the
/// doubt. As an unsigned number, what is below the first edge or not a number is beyond the end, so that every clear bin is in the table.</remarks>
internal interface IBinLanes<TSelf> where TSelf : struct, IBinLanes<TSelf>
{
    /// <summary>Lanes of a vector.</summary>
    static abstract int Count { get; }

    /// <param name="edges">About where the bins are.</param>
    /// <param name="absolute">Whether the elements' absolute values are meant.</param>
    static abstract TSelf Create(in EvenEdges edges, bool absolute);

    /// <summary>The extremes of all values so far, as long as none is NaN.</summary>
    ValueRange Range { get; }

    /// <summary>Takes a block of whole vectors apart.</summary>
    /// <param name="x">Its first value.</param>
    /// <param name="length">Its values.</param>
    /// <param name="bins">Gets the bins of those that are clear; room for one vector more than there are values.</param>
    /// <param name="unclear">Gets those that are neither clear nor zero; as much room.</param>
    /// <returns>How many are clear, and how many unclear. The others are zeros.</returns>
    (int Clear, int Unclear) Split(ref float x, int length, ref int bins, ref float unclear);
}
