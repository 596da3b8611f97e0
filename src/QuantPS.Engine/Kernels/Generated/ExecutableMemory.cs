using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>A piece of machine code in pages of its own. The pages are writable while the code is copied in and executable afterwards, never both.</summary>
/// <remarks>Freed when disposed or collected. Linux, macOS: mmap and mprotect; Windows: VirtualAlloc and VirtualProtect.</remarks>
internal sealed partial class ExecutableMemory : SafeHandle
{
    private static long liveBytes;
    private static int liveCount;
    private readonly nuint size;

    /// <summary>Copies the code and makes it executable.</summary>
    /// <exception cref="OutOfMemoryException">The system gives no pages, or does not let them be executable.</exception>
    public ExecutableMemory(ReadOnlySpan<byte> code)
        : base(0, ownsHandle: true)
    {
        nuint page = (nuint)Environment.SystemPageSize;
        size = ((nuint)code.Length + page - 1) / page * page;
        nint address = OperatingSystem.IsWindows()
            ? VirtualAlloc(0, size, MemCommitReserve, PageReadWrite)
            : mmap(0, size, ProtRead | ProtWrite, MapPrivate | (OperatingSystem.IsMacOS() ? 0x1000 : 0x20), -1, 0);
        if (address is 0 or -1)
            throw new OutOfMemoryException($"The system gives no {size} bytes for generated code.");
        SetHandle(address);
        unsafe
        {
            code.CopyTo(new Span<byte>((void*)address, code.Length));
        }
        bool executable = OperatingSystem.IsWindows() ? VirtualProtect(address, size, PageExecuteRead, out _) : mprotect(address, size, ProtRead | ProtExec) == 0;
        if (!executable)
        {
            Dispose();
            throw new OutOfMemoryException("The system does not let generated code be executable.");
        }
        Interlocked.Add(ref liveBytes, (long)size);
        Interlocked.Increment(ref liveCount);
        counted = true;
    }

    private readonly bool counted;

    /// <summary>Bytes of generated code that are alive in this process.</summary>
    public static long LiveBytes => Interlocked.Read(ref liveBytes);

    /// <summary>Pieces of generated code that are alive in this process.</summary>
    public static int LiveCount => Volatile.Read(ref liveCount);

    public override bool IsInvalid => handle is 0 or -1;

    /// <summary>Where the code begins.</summary>
    public nint Address => handle;

    protected override bool ReleaseHandle()
    {
        if (counted)
        {
            Interlocked.Add(ref liveBytes, -(long)size);
            Interlocked.Decrement(ref liveCount);
        }
        return OperatingSystem.IsWindows() ? VirtualFree(handle, 0, MemRelease) : munmap(handle, size) == 0;
    }

    private const int ProtRead = 1, ProtWrite = 2, ProtExec = 4, MapPrivate = 2;
    private const uint MemCommitReserve = 0x3000, MemRelease = 0x8000, PageReadWrite = 0x04, PageExecuteRead = 0x20;

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mprotect(nint address, nuint length, int protection);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(nint address, nuint length);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial nint VirtualAlloc(nint address, nuint size, uint type, uint protection);

    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool VirtualProtect(nint address, nuint size, uint protection, out uint old);

    [LibraryImport("kernel32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool VirtualFree(nint address, nuint size, uint type);
}
