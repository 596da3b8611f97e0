namespace QuantPS.Data.Sources;

/// <summary>An array that is in memory as a whole, because its format leaves no other way.</summary>
public sealed class MemorySource : TensorSource
{
    private readonly float[] values;
    private int position;

    public MemorySource(string label, int[] shape, SourceKind kind, float[] values, string? name = null)
        : base(label, shape, kind, name) => this.values = values;

    /// <inheritdoc/>
    public override void Read(Span<float> destination, CancellationToken cancellation)
    {
        values.AsSpan(position, destination.Length).CopyTo(destination);
        position += destination.Length;
    }

    /// <inheritdoc/>
    public override void Skip(int rows, CancellationToken cancellation) => position += rows * RowLength;
}
