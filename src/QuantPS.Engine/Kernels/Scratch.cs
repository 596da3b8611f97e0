using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels;

/// <summary>A thread's working memory, kept between calls: fresh pages for every call would cost more than what is copied into them.</summary>
internal sealed unsafe class Scratch
{
    [ThreadStatic]
    private static Scratch? mine;

    private byte* memory;
    private nuint size;

    private Scratch()
    {
    }

    ~Scratch() => NativeMemory.AlignedFree(memory);

    /// <summary>At least that many bytes on a 64-byte boundary, with whatever is in them. Valid until this thread asks again.</summary>
    public static byte* Get(long bytes)
    {
        Scratch scratch = mine ??= new Scratch();
        if ((nuint)bytes > scratch.size)
        {
            NativeMemory.AlignedFree(scratch.memory);
            scratch.memory = null;
            scratch.size = 0;
            scratch.memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
            scratch.size = (nuint)bytes;
        }
        return scratch.memory;
    }

    /// <inheritdoc cref="Get"/>
    public static Span<byte> Span(int bytes) => new(Get(bytes), bytes);
}
