using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Which end of a <see cref="GuardedMemory"/> lies at a guard page exactly.</summary>
public enum GuardSide
{
    /// <summary>The last byte is the last of its page: reading or writing one byte further faults.</summary>
    Behind,

    /// <summary>The first byte is the first of its page: reading or writing one byte before it faults.</summary>
    Before,
}

/// <summary>Bytes between two pages without access, so that a stray read or write ends the process instead of going unseen.</summary>
/// <remarks>Only one end can touch its guard page; what is left of the pages at the other end holds a pattern, which <see cref="Intact"/> looks at.
/// Linux, macOS: mmap and mprotect; Windows: VirtualAlloc and VirtualProtect.
/// Pages are kept for the next one, so that the many of a sweep cost little.</remarks>
internal sealed unsafe partial class GuardedMemory : MemoryManager<byte>
{
    private const byte Pattern = 0xA5;

    // Freed pages by size, for the next one who wants so many: mapping new ones takes longer than a small kernel runs.
    private static readonly ConcurrentDictionary<nuint, ConcurrentStack<nint>> Spare = new();

    private readonly nuint page = (nuint)Environment.SystemPageSize;
    private readonly nuint inner;
    private readonly int length;
    private readonly byte* address;
    private nint pages;
    private bool readOnly, freed;

    /// <param name="length">Bytes, all zero at first.</param>
    /// <param name="side">The end that lies at its guard page.</param>
    /// <param name="alignment">A power of two. With <see cref="GuardSide.Behind"/> up to alignment - 1 bytes of pattern lie before the guard page.</param>
    public GuardedMemory(int length, GuardSide side, int alignment = 1)
    {
        this.length = length;
        inner = Math.Max(1, ((nuint)length + page - 1) / page) * page;
        if (Spare.GetOrAdd(inner, _ => new()).TryPop(out nint spare))
            pages = spare;
        else
            Map();
        address = Inner + (side == GuardSide.Before ? 0 : (inner - (nuint)length) / (nuint)alignment * (nuint)alignment);
        new Span<byte>(Inner, (int)inner).Fill(Pattern);
        GetSpan().Clear();
    }

    /// <summary>The first byte.</summary>
    public nint Address => (nint)address;

    private byte* Inner => (byte*)pages + page;

    /// <summary>From now on writing faults too.</summary>
    public void MakeReadOnly()
    {
        Protect(writable: false);
        readOnly = true;
    }

    /// <summary>False where something wrote between the bytes and the guard pages.</summary>
    public bool Intact
    {
        get
        {
            int before = (int)(address - Inner);
            return new ReadOnlySpan<byte>(Inner, before).IndexOfAnyExcept(Pattern) < 0
                && new ReadOnlySpan<byte>(address + length, (int)inner - before - length).IndexOfAnyExcept(Pattern) < 0;
        }
    }

    public override Span<byte> GetSpan() => new(address, length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(address + elementIndex, pinnable: this);

    public override void Unpin()
    {
    }

    /// <summary>Gives the pages to the next who wants so many.</summary>
    public void Free() => Dispose(true);

    protected override void Dispose(bool disposing)
    {
        // Once, though the finalizer of packed memory may come at the same time.
        if (Interlocked.Exchange(ref freed, true))
            return;
        if (readOnly)
            Protect(writable: true);
        Spare[inner].Push(pages);
    }

    private void Map()
    {
        nint reserved = OperatingSystem.IsWindows()
            ? VirtualAlloc(0, inner + 2 * page, MemCommitReserve, PageNoAccess)
            : mmap(0, inner + 2 * page, ProtNone, MapPrivate | (OperatingSystem.IsMacOS() ? 0x1000 : 0x20), -1, 0);
        if (reserved is 0 or -1)
            throw new OutOfMemoryException($"The system gives no {inner} bytes.");
        pages = reserved;
        Protect(writable: true);
    }

    private void Protect(bool writable)
    {
        bool done = OperatingSystem.IsWindows()
            ? VirtualProtect((nint)Inner, inner, writable ? PageReadWrite : PageReadOnly, out _)
            : mprotect((nint)Inner, inner, writable ? ProtRead | ProtWrite : ProtRead) == 0;
        if (!done)
            throw new InvalidOperationException("The system does not change the protection of pages.");
    }

    private const int ProtNone = 0, ProtRead = 1, ProtWrite = 2, MapPrivate = 2;
    private const uint MemCommitReserve = 0x3000, PageNoAccess = 0x01, PageReadOnly = 0x02, PageReadWrite = 0x04;

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mprotect(nint address, nuint length, int protection);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial nint VirtualAlloc(nint address, nuint size, uint type, uint protection);

    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool VirtualProtect(nint address, nuint size, uint protection, out uint old);
}
