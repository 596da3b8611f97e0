using System.Buffers;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace QuantPS.Onnx.Model;

/// <summary>A file as read-only memory that the system pages in when it is looked at and drops when memory is short.</summary>
/// <remarks>Unmapped when nothing refers to a slice any more. Whoever looks at a slice's span must keep the slice's owner alive meanwhile.</remarks>
internal sealed unsafe class MappedFile
{
    private readonly MemoryMappedFile file;
    private readonly MemoryMappedViewAccessor view;

    /// <param name="handle">The open file; stays the caller's.</param>
    public MappedFile(SafeFileHandle handle)
    {
        file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
    }

    public ReadOnlyMemory<byte> Slice(long offset, int length) => new Owner(this, offset, length).Memory;

    private sealed class Owner(MappedFile mapped, long offset, int length) : MemoryManager<byte>
    {
        // The handle's own finalizer unmaps; AcquirePointer would ask for one of ours to release what it counts.
        private byte* Pointer => (byte*)mapped.view.SafeMemoryMappedViewHandle.DangerousGetHandle() + mapped.view.PointerOffset + offset;

        public override Span<byte> GetSpan() => new(Pointer, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(Pointer + elementIndex, default, this);

        public override void Unpin()
        {
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
