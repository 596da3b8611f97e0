using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Sources;

/// <summary>What the first dimension of a source means.</summary>
public enum SourceKind
{
    /// <summary>An array: one tensor as it is.</summary>
    Array,

    /// <summary>A list of samples along the first dimension, by the nature of the format.</summary>
    Samples,

    /// <summary>Images N, C, H, W with values 0 to 255; samples too.</summary>
    Images,
}

/// <summary>One array in a file, read row by row (a row is a slice along the first dimension), front to back.</summary>
public abstract class TensorSource : IDisposable
{
    protected TensorSource(string label, int[] shape, SourceKind kind, string? name = null)
    {
        Label = label;
        Shape = shape;
        Kind = kind;
        Name = name;
        TensorShape.Count(shape);
        RowLength = shape.Length == 0 ? 1 : TensorShape.Count(shape.AsSpan(1));
    }

    /// <summary>The file and, in a file of several arrays, the key: path or path#key.</summary>
    public string Label { get; }

    /// <summary>The key in a file of several arrays, else null.</summary>
    public string? Name { get; }

    public int[] Shape { get; }

    public SourceKind Kind { get; }

    /// <summary>Number of rows; 1 for a scalar.</summary>
    public int Rows => Shape.Length == 0 ? 1 : Shape[0];

    /// <summary>Elements a row.</summary>
    public int RowLength { get; }

    /// <summary>Reads the next rows: destination.Length / RowLength of them.</summary>
    public abstract void Read(Span<float> destination, CancellationToken cancellation);

    /// <summary>Passes over the next rows without decoding them.</summary>
    public abstract void Skip(int rows, CancellationToken cancellation);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }
}
