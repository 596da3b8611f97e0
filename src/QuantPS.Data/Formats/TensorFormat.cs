using QuantPS.Data.Sources;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Formats;

/// <summary>One kind of file. A registry line in <see cref="TensorFormats"/> makes it known.</summary>
public abstract class TensorFormat
{
    /// <summary>What users call it: ".npy".</summary>
    public abstract string Name { get; }

    /// <summary>How its file names end (before .gz).</summary>
    public abstract IReadOnlyList<string> Extensions { get; }

    /// <summary>True when the first bytes of a file can only be this format.</summary>
    public abstract bool Matches(ReadOnlySpan<byte> head);

    /// <summary>The arrays in the file, in their order. Each is to be read (or skipped) and disposed before the next is asked for.</summary>
    /// <param name="file">The file.</param>
    /// <param name="grayscale">Images become one channel.</param>
    /// <exception cref="Engine.Errors.QuantException">FileFormat, FileTruncated, UnsupportedDType.</exception>
    public abstract IEnumerable<TensorSource> Open(InputFile file, bool grayscale);

    /// <summary>Whether the format can be written.</summary>
    public virtual bool CanWrite => false;

    /// <summary>Writes a float tensor.</summary>
    public virtual void Write(Stream stream, Tensor tensor) => throw new NotSupportedException($"{Name} cannot be written.");

    /// <summary>Writes the integers of a quantized tensor; scale and zero point are not part of the file.</summary>
    public virtual void Write(Stream stream, QuantizedTensor tensor) => throw new NotSupportedException($"{Name} cannot be written.");
}
