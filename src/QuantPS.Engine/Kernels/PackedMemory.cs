using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Memory for what a kernel packs once: weights and parameters. On a 64-byte boundary, zero at first, freed when disposed or collected.</summary>
/// <remarks>Whoever reads through <see cref="Address"/> keeps this object, or the kernel that holds it, alive until the reading is over.</remarks>
internal sealed unsafe class PackedMemory : IDisposable
{
    public const int Alignment = 64;

    /// <summary>For tests, and only for the thread that sets it: gives the memory instead, so that a test can put pages without access around it.
    /// Takes the number of bytes; gives the address, aligned and zeroed as promised here, and what frees it.</summary>
    [ThreadStatic]
    internal static Func<nuint, (nint Address, Action Free)>? Source;

    private readonly Action? free;
    private readonly PackedChunk? chunk;
    private byte* address;

    /// <exception cref="OutOfMemoryException">There is not so much memory.</exception>
    public PackedMemory(long bytes)
    {
        Bytes = bytes;
        var size = (nuint)bytes;
        if (Source is { } source)
        {
            (nint given, free) = source(size);
            address = (byte*)given;
            return;
        }
        address = bytes >= PackedChunk.LeastPart ? PackedChunk.Take(bytes, out chunk) : (byte*)NativeMemory.AlignedAlloc(size, Alignment);
        NativeMemory.Clear(address, size);
    }

    ~PackedMemory() => Free();

    public long Bytes { get; }

    /// <summary>The first byte.</summary>
    public byte* Address => address;

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (address is null)
            return;
        if (free is not null)
            free();
        else if (chunk is not null)
            chunk.Return();
        else
            NativeMemory.AlignedFree(address);
        address = null;
    }
}
