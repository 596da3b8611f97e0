using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Large pages that many kernels' weights share. A network's weights are read once a run, from end to end, and are more than the processor keeps
/// translated addresses for: with pages of 4 KiB every 64th line waits for one, with pages of 2 MiB next to none.</summary>
/// <remarks>Only ever asked for (madvise, Linux): where the system has no large page to give, or another way to ask, these are ordinary pages. A chunk is freed when
/// the last part of it is.</remarks>
internal sealed unsafe partial class PackedChunk
{
    /// <summary>Smaller parts would keep whole chunks alive for little.</summary>
    public const int LeastPart = 32 * 1024;

    // Of x64 and of Arm with pages of 4 KiB; elsewhere it is but an alignment.
    private const long LargePage = 2 * 1024 * 1024;

    // MADV_HUGEPAGE, asm-generic/mman-common.h.
    private const int WantsLargePages = 14;

    private static readonly Lock Gate = new();
    private static PackedChunk? current;

    private readonly byte* memory;
    private readonly long bytes;
    private long used;
    private int parts;

    private PackedChunk(long bytes)
    {
        this.bytes = bytes;
        memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, (nuint)LargePage);
        // Refused where the system has none; then these are ordinary pages.
        if (OperatingSystem.IsLinux())
            _ = Advise(memory, (nuint)bytes, WantsLargePages);
    }

    private long Free => bytes - used;

    /// <summary>Part of a chunk, on a 64-byte boundary, with anything in it.</summary>
    /// <param name="size">Bytes, at least <see cref="LeastPart"/>.</param>
    /// <param name="chunk">Takes the part back.</param>
    /// <exception cref="OutOfMemoryException">There is not so much memory.</exception>
    public static byte* Take(long size, out PackedChunk chunk)
    {
        size = (size + PackedMemory.Alignment - 1) / PackedMemory.Alignment * PackedMemory.Alignment;
        lock (Gate)
        {
            if (current is not { } open || open.Free < size)
            {
                open = new PackedChunk((size + LargePage - 1) / LargePage * LargePage);
                // The one with more room is the one to go on with.
                if (current is null || open.Free - size > current.Free)
                    current = open;
            }
            chunk = open;
            byte* part = open.memory + open.used;
            open.used += size;
            open.parts++;
            return part;
        }
    }

    /// <summary>One part is no longer used.</summary>
    public void Return()
    {
        lock (Gate)
        {
            if (--parts > 0)
                return;
            if (ReferenceEquals(current, this))
                current = null;
        }
        NativeMemory.AlignedFree(memory);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint bytes, int advice);
}
