using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>A function of one 8-bit variable as its 256 values, and what is known of it.</summary>
public sealed class ByteTable
{
    private readonly byte[] entries;
    private Lazy<ByteLines?>? lines;

    /// <param name="entries">256, by the byte that is looked up; taken over.</param>
    /// <exception cref="ArgumentException">Another number.</exception>
    public ByteTable(byte[] entries)
    {
        if (entries.Length != 256)
            throw new ArgumentException($"A table of {entries.Length} bytes, which should be 256.");
        this.entries = entries;
    }

    public ReadOnlySpan<byte> Entries => entries;

    /// <summary>Its lines, where it has some and they are sooner computed than the table is looked up. They are looked for when somebody asks for the first time.</summary>
    internal ByteLines? Lines
    {
        get
        {
            if (!VectorByteLines.Pays || !KernelSelector.UsesVectors)
                return null;
            lines ??= new Lazy<ByteLines?>(() => ByteLines.Find(entries));
            return lines.Value;
        }
    }
}
