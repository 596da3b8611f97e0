using System.Runtime.InteropServices;

namespace QuantPS.Engine.Tensors;

/// <summary>Memory for the activations of a network that runs again and again: what one run has finished with, the next one takes. Fresh pages and
/// their collection cost more than many layers.</summary>
/// <remarks>For one run at a time. Layers that run on the thread inside <see cref="Use"/> take their results' memory from it.</remarks>
public sealed class ActivationPool
{
    // Below these, AlignedBuffer neither aligns nor pins. What is less than the first is not kept either: a new array costs little.
    internal const int LeastBytes = 4096, LeastFloatBytes = 80_000;

    [ThreadStatic]
    private static ActivationPool? current;

    private readonly Shelf<byte> integers = new();
    private readonly Shelf<float> reals = new();

    /// <summary>The pool that this thread's layers take memory from; null without.</summary>
    public static ActivationPool? Current => current;

    /// <summary>Memory for that many bytes, on a 64-byte boundary if it is much, with anything in it.</summary>
    internal static Memory<byte> Allocate(int bytes) =>
        bytes >= LeastBytes && current is { } pool ? pool.integers.Take(bytes) : new AlignedBuffer<byte>(bytes, zeroed: false).Memory;

    /// <summary>The same for that many float32 values.</summary>
    public static Memory<float> AllocateFloats(int length) =>
        (long)length * sizeof(float) >= LeastBytes && current is { } pool ? pool.reals.Take(length) : new AlignedBuffer<float>(length, zeroed: false).Memory;

    /// <summary>Takes back memory that a layer had for itself.</summary>
    internal static void Return(Memory<byte> memory) => current?.integers.Return(memory);

    /// <summary>Until the result is disposed, this thread's layers take memory from here.</summary>
    public Scope Use()
    {
        ActivationPool? before = current;
        current = this;
        integers.Begin();
        reals.Begin();
        return new Scope(this, before);
    }

    /// <summary>Takes back a tensor's memory if it came from here. Nobody may use the tensor, or another one with the same memory, afterwards.</summary>
    public void Return(QuantizedTensor tensor)
    {
        integers.Return(tensor.AnyLayout);
        integers.Return(tensor.LeftLayout);
    }

    /// <summary>The same for float32.</summary>
    public void Return(Tensor tensor) => reals.Return(tensor.Memory);

    /// <summary>Whether two tensors share memory.</summary>
    public static bool AreOne(QuantizedTensor a, QuantizedTensor b)
    {
        return Share(a.AnyLayout, b.AnyLayout) || Share(a.AnyLayout, b.LeftLayout) || Share(a.LeftLayout, b.AnyLayout) || Share(a.LeftLayout, b.LeftLayout);

        static bool Share(Memory<byte> p, Memory<byte> q) => !p.IsEmpty && !q.IsEmpty && ReferenceEquals(ArrayOf<byte>(p), ArrayOf<byte>(q));
    }

    /// <summary>Whether two tensors share memory.</summary>
    public static bool AreOne(Tensor a, Tensor b) => ReferenceEquals(ArrayOf<float>(a.Memory), ArrayOf<float>(b.Memory));

    private static T[]? ArrayOf<T>(ReadOnlyMemory<T> memory) => MemoryMarshal.TryGetArray(memory, out ArraySegment<T> segment) ? segment.Array : null;

    /// <summary>Blocks of one element type.</summary>
    private sealed class Shelf<T> where T : unmanaged
    {
        private readonly Dictionary<int, Stack<T[]>> free = [];
        private readonly Dictionary<T[], Memory<T>> known = new(ReferenceEqualityComparer.Instance);
        private readonly HashSet<int> wanted = [];

        public void Begin() => wanted.Clear();

        public Memory<T> Take(int length)
        {
            wanted.Add(length);
            if (!free.TryGetValue(length, out Stack<T[]>? stack))
                free[length] = stack = [];
            if (stack.TryPop(out T[]? array))
                return known[array];
            Memory<T> memory = new AlignedBuffer<T>(length, zeroed: false).Memory;
            known.Add(ArrayOf<T>(memory)!, memory);
            return memory;
        }

        public void Return(ReadOnlyMemory<T> used)
        {
            if (ArrayOf(used) is { } array && known.TryGetValue(array, out Memory<T> memory))
                free[memory.Length].Push(array);
        }

        /// <summary>Sizes that the last run did not want are dropped, so that inputs of many shapes do not pile up; and what it did not give back.</summary>
        public void Trim()
        {
            foreach (int size in free.Keys.Except(wanted).ToArray())
                free.Remove(size);
            HashSet<T[]> kept = new(free.Values.SelectMany(s => s), ReferenceEqualityComparer.Instance);
            foreach (T[] array in known.Keys.Where(a => !kept.Contains(a)).ToArray())
                known.Remove(array);
        }
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
            pool.integers.Trim();
            pool.reals.Trim();
        }
    }
}
