using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Linear layers by vectors: four input rows with two weight rows at once, see <see cref="DotTile{TDot}"/>.</summary>
internal sealed unsafe class VectorLinear<TDot> : LinearKernel, IDisposable where TDot : struct, IDotProduct
{
    private readonly LinearProblem problem;
    private readonly PackedRows weights;

    public VectorLinear(LinearProblem problem)
    {
        this.problem = problem;
        weights = new PackedRows(problem.Weight.Span, problem.OutputFeatures, problem.WeightZeroPoints, problem.InputZeroPoint, DotTile<TDot>.Step, TDot.InputOffset);
    }

    public override string Name => $"vector-linear-4x2-{TDot.Isa}";

    public override void Run(ReadOnlyMemory<byte> input, int rows, Memory<byte> output)
    {
        const int tile = DotTile<TDot>.Rows;
        KernelThreads.Split((rows + tile - 1) / tile, new Work(this, input, rows, output));
        // A finalizer frees the packed weights, and pointers into them hold no reference.
        GC.KeepAlive(this);
    }

    public void Dispose() => weights.Dispose();

    private readonly struct Work(VectorLinear<TDot> linear, ReadOnlyMemory<byte> input, int rows, Memory<byte> output) : IKernelWork
    {
        /// <summary>Tiles [from, to) of rows.</summary>
        public void Run(int from, int to)
        {
            const int tile = DotTile<TDot>.Rows;
            // Whatever stands behind the rows' ends is multiplied by weights of zero.
            Span<byte> padded = Scratch.Span(tile * linear.weights.Length);
            for (int job = from; job < to; job++)
                linear.Tile(input.Span, job * tile, Math.Min(tile, rows - job * tile), padded, output.Span);
        }
    }

    private void Tile(ReadOnlySpan<byte> input, int first, int count, Span<byte> padded, Span<byte> output)
    {
        const int tile = DotTile<TDot>.Rows;
        Span<int> sums = stackalloc int[2 * tile], inputSums = stackalloc int[tile];
        for (int r = 0; r < count; r++)
        {
            Span<byte> row = padded.Slice(r * weights.Length, weights.Depth);
            input.Slice((first + r) * problem.InputFeatures, problem.InputFeatures).CopyTo(row);
            if (problem.InputFlip != 0)
            {
                foreach (ref byte b in row)
                    b ^= problem.InputFlip;
            }
            inputSums[r] = weights.NeedsInputSums ? DotTile<TDot>.Sum(row) : 0;
        }
        for (int o = 0; o < problem.OutputFeatures; o += 2)
        {
            DotTile<TDot>.FourByTwo(ref MemoryMarshal.GetReference(padded), weights.Row(o), weights.Row(o + 1), weights.Length, sums);
            for (int c = 0; c < Math.Min(2, problem.OutputFeatures - o); c++)
            {
                for (int r = 0; r < count; r++)
                {
                    int sum = sums[c * tile + r] + weights.Offsets[o + c] - weights.ZeroPoints[o + c] * inputSums[r];
                    output[(first + r) * problem.OutputFeatures + o + c] = unchecked((byte)problem.Requantizer.Apply(sum, o + c));
                }
            }
        }
    }
}
