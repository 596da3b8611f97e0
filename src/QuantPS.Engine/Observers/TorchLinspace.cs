namespace QuantPS.Engine.Observers;

/// <summary>The points of torch.linspace in float32, one at a time.</summary>
/// <remarks>Source: aten/src/ATen/native/cpu/RangeFactoriesKernel.cpp linspace_kernel of libtorch 2.x as its x86-64 build computes it: counted up
/// from the start in the first half, down from the end in the second, each point one fused multiply-add.</remarks>
internal readonly struct TorchLinspace(float start, float end, int count)
{
    private readonly float step = (end - start) / (count - 1);

    public float this[int index] => index < count / 2
        ? MathF.FusedMultiplyAdd(step, index, start)
        : MathF.FusedMultiplyAdd(-step, count - 1 - index, end);
}
