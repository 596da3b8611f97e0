namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for linear layers: int32 sum of (x - z_x)(w - z_w) over a row, then requantize.</summary>
public sealed class ReferenceLinear(LinearProblem problem) : LinearKernel
{
    public override string Name => "reference-linear";

    public override void Run(ReadOnlyMemory<byte> input, int rows, Memory<byte> output) =>
        KernelThreads.Split(rows, (first, end) =>
        {
            for (int row = first; row < end; row++)
            {
                ReadOnlySpan<byte> x = input.Span.Slice(row * problem.InputFeatures, problem.InputFeatures);
                Span<byte> y = output.Span.Slice(row * problem.OutputFeatures, problem.OutputFeatures);
                for (int o = 0; o < y.Length; o++)
                    y[o] = unchecked((byte)problem.Requantizer.Apply(Accumulate(problem, x, o), o));
            }
        });

    /// <summary>The accumulator of one output feature, without bias.</summary>
    internal static int Accumulate(LinearProblem p, ReadOnlySpan<byte> x, int o)
    {
        ReadOnlySpan<sbyte> w = p.Weight.Span.Slice(o * p.InputFeatures, p.InputFeatures);
        int sum = 0, zero = p.WeightZeroPoints[o];
        for (int k = 0; k < w.Length; k++)
            sum += ((x[k] ^ p.InputFlip) - p.InputZeroPoint) * (w[k] - zero);
        return sum;
    }
}
