using System.Runtime.InteropServices;

namespace QuantPS.Engine.Tensors;

/// <summary>Memory for the activations of a network that runs again and again: what one run has finished with, the next one takes. Fresh pages and
/// their collection cost more than many layers.</summary>
/// <remarks>For one run at a time. Layers that run on the thread inside <see cref="Use"/> take their results' memory from it.</remarks>
public sealed class ActivationPool
{
    // Below this, AlignedBuffer neither aligns nor pins, and a new array costs little.
    private const int LeastBytes = 4096;

    [ThreadStatic]
    private static ActivationPool? current;

    private readonly Dictionary<int, Stack<byte[]>> free = [];
    private readonly Dictionary<byte[], Memory<byte>> known = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<int> wanted = [];

    /// <summary>Memory for that many bytes, on a 64-byte boundary if it is much, with anything in it.</summary>
    internal static Memory<byte> Allocate(int bytes) => bytes >= LeastBytes && current is { } pool ? pool.Take(bytes) : new AlignedBuffer<byte>(bytes, zeroed: false).Memory;

    /// <summary>Until the result is disposed, this thread's layers take memory from here.</summary>
    public Scope Use()
    {
        ActivationPool? before = current;
        current = this;
        wanted.Clear();
        return new Scope(this, before);
    }

    /// <summary>Takes back a tensor's memory if it came from here. Nobody may use the tensor, or another one with the same memory, afterwards.</summary>
    public void Return(QuantizedTensor tensor)
    {
        if (ArrayOf(tensor) is { } array && known.TryGetValue(array, out Memory<byte> memory))
            free[memory.Length].Push(array);
    }

    /// <summary>Whether two tensors share memory.</summary>
    public static bool AreOne(QuantizedTensor a, QuantizedTensor b) => ReferenceEquals(ArrayOf(a), ArrayOf(b));

    private static byte[]? ArrayOf(QuantizedTensor tensor) => MemoryMarshal.TryGetArray<byte>(tensor.AnyLayout, out ArraySegment<byte> segment) ? segment.Array : null;

    private Memory<byte> Take(int bytes)
    {
        wanted.Add(bytes);
        if (!free.TryGetValue(bytes, out Stack<byte[]>? stack))
            free[bytes] = stack = [];
        if (stack.TryPop(out byte[]? array))
            return known[array];
        Memory<byte> memory = new AlignedBuffer<byte>(bytes, zeroed: false).Memory;
        MemoryMarshal.TryGetArray<byte>(memory, out ArraySegment<byte> segment);
        known.Add(segment.Array!, memory);
        return memory;
    }

    /// <summary>Sizes that the last run did not want are dropped, so that inputs of many shapes do not pile up; and what it did not give back.</summary>
    private void Trim()
    {
        foreach (int size in free.Keys.Except(wanted).ToArray())
            free.Remove(size);
        HashSet<byte[]> kept = new(free.Values.SelectMany(s => s), ReferenceEqualityComparer.Instance);
        foreach (byte[] array in known.Keys.Where(a => !kept.Contains(a)).ToArray())
            known.Remove(array);
    }

    /// <summary>A stretch of using a pool.</summary>
    public readonly struct Scope : IDisposable
    {
        private readonly ActivationPool pool;
        private readonly ActivationPool? before;

        internal Scope(ActivationPool pool, ActivationPool? before)
        {
            this.pool = pool;
            this.before = before;
        }

        public void Dispose()
        {
            current = before;
            pool.Trim();
        }
    }
}
