using System.Runtime.Intrinsics;

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

    /// <summary>The first points, each plus a shift (one more rounding; a shift of 0 changes nothing).</summary>
    public void Fill(Span<float> points, float shift)
    {
        int width = Vector256<float>.Count, k = 0;
        Vector256<float> shifts = Vector256.Create(shift), steps = Vector256.Create(step), starts = Vector256.Create(start), ends = Vector256.Create(end);
        // Lane i is point k + i; a block that would reach across the middle is left to the scalar form.
        for (; k + width <= Math.Min(count / 2, points.Length); k += width)
            (Vector256.FusedMultiplyAdd(steps, Indices(k), starts) + shifts).CopyTo(points[k..]);
        for (; k < points.Length && (k < count / 2 || k % width != 0); k++)
            points[k] = this[k] + shift;
        Vector256<float> last = Vector256.Create((float)(count - 1));
        for (; k + width <= points.Length; k += width)
            (Vector256.FusedMultiplyAdd(-steps, last - Indices(k), ends) + shifts).CopyTo(points[k..]);
        for (; k < points.Length; k++)
            points[k] = this[k] + shift;
    }

    /// <summary>k, k + 1, ...: whole numbers far below 2^24, so that float32 holds them and their differences exactly.</summary>
    private static Vector256<float> Indices(int k) => Vector256.ConvertToSingle(Vector256.Create(k) + Vector256<int>.Indices);
}
