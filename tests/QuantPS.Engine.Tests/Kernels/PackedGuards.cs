using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Puts what kernels pack between guard pages.</summary>
internal sealed class PackedGuards(GuardSide side) : IDisposable
{
    private readonly List<GuardedMemory> all = [];

    /// <summary>Pieces of memory that were asked for.</summary>
    public int Count => all.Count;

    /// <summary>False where something wrote around the pieces.</summary>
    public bool Intact => all.TrueForAll(m => m.Intact);

    /// <summary>What <paramref name="action"/> packs on this thread is guarded, and read-only once it is done.</summary>
    public T During<T>(Func<T> action)
    {
        PackedMemory.Source = bytes =>
        {
            var memory = new GuardedMemory((int)bytes, side, PackedMemory.Alignment);
            all.Add(memory);
            return (memory.Address, memory.Free);
        };
        try
        {
            return action();
        }
        finally
        {
            PackedMemory.Source = null;
            all.ForEach(m => m.MakeReadOnly());
        }
    }

    public void Dispose() => all.ForEach(m => m.Free());
}
