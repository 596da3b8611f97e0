using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Observers;

/// <summary>Keeps a copy of every tensor, for looking at. Gives no parameters. The one observer whose memory grows with the data.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py RecordingObserver. Merging appends: associative, in the order of the merges.</remarks>
public sealed class RecordingObserver(ObserverSpec spec) : UnrangedObserver(spec)
{
    private readonly List<Tensor> tensors = [];

    /// <summary>The tensors, in the order in which they passed: PyTorch's get_tensor_value().</summary>
    public IReadOnlyList<Tensor> Tensors => tensors;

    public override bool DependsOnOrder => true;

    private protected override bool KeepsElements => true;

    private protected override string Purpose => "it only keeps the tensors. Use MinMax or Histogram where they are to be quantized.";

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        tensors.Add(new Tensor(shape.ToArray(), data.ToArray()));
        base.ObserveCore(data, shape, range);
    }

    protected override void MergeCore(Observer other) => tensors.AddRange(((RecordingObserver)other).tensors.ToArray());

    protected override void SaveCore(ObserverState state) => state.Parts = [.. tensors.Select(t =>
        new ObserverPart { Shape = t.Shape, Data = t.ToArray() })];

    protected override void RestoreCore(ObserverState state)
    {
        foreach (ObserverPart part in state.Parts)
        {
            int[] shape = part.Some(part.Shape);
            tensors.Add(new Tensor(shape, part.Sized(part.Data, TensorShape.Count(shape))));
        }
    }
}
