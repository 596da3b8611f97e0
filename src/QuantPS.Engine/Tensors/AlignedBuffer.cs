using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace QuantPS.Engine.Tensors;

/// <summary>A block of <typeparamref name="T"/> whose first element lies on a 64-byte boundary (a cache line, a 512-bit vector) and never moves.</summary>
/// <remarks>Small blocks live on the ordinary heap without alignment: a pinned block costs 15 to 30 us to allocate, most of it for the collections that its
/// heap brings about, an unaligned load next to nothing. Integers, which layers read again and again, are aligned from a smaller size on than float32.</remarks>
public sealed class AlignedBuffer<T> where T : unmanaged
{
    /// <summary>Alignment of the first element, in bytes.</summary>
    public const int AlignmentBytes = 64;

    private static int PinFromBytes => typeof(T) == typeof(float) ? ActivationPool.LeastFloatBytes : ActivationPool.LeastBytes;

    private readonly T[] array;
    private readonly int start;

    /// <summary>Allocates <paramref name="length"/> elements, all zero.</summary>
    public AlignedBuffer(int length)
        : this(length, zeroed: true)
    {
    }

    /// <summary>Allocates <paramref name="length"/> elements; with anything in them unless they are to be zero.</summary>
    internal AlignedBuffer(int length, bool zeroed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        int size = Unsafe.SizeOf<T>();
        if ((long)length * size < PinFromBytes)
        {
            array = new T[length];
            return;
        }
        int count = checked(length + AlignmentBytes / size);
        array = zeroed ? GC.AllocateArray<T>(count, pinned: true) : GC.AllocateUninitializedArray<T>(count, pinned: true);
        unsafe
        {
            nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(array));
            nint pad = (AlignmentBytes - address % AlignmentBytes) % AlignmentBytes;
            start = (int)(pad / size);
        }
    }

    /// <summary>Wraps an array as it is, without copying and without alignment.</summary>
    public AlignedBuffer(T[] data)
    {
        array = data;
        Length = data.Length;
    }

    /// <summary>Number of elements.</summary>
    public int Length { get; }

    public Span<T> Span => array.AsSpan(start, Length);

    public Memory<T> Memory => array.AsMemory(start, Length);
}
