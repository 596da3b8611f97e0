using System.Runtime.InteropServices;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Convolution by vectors: windows are gathered into rows of bytes (im2col), rows are multiplied by <see cref="DotTile{TDot}"/>.</summary>
/// <remarks>Positions outside the image hold z_x, which adds nothing. Work is split by image and by stripes of output pixels.</remarks>
internal sealed unsafe class VectorConv<TDot> : ConvKernel, IDisposable where TDot : struct, IDotProduct
{
    // Rows of a stripe: with a depth of 576 bytes they take 36 KB, which stays in the second-level cache beside the weights.
    private const int Stripe = 64;

    // Below that many products a row is mostly padding, and the plain loops of the reference are as fast.
    private const int LeastDepth = 16;

    private readonly ConvProblem problem;
    private readonly PackedRows weights;

    private VectorConv(ConvProblem problem)
    {
        this.problem = problem;
        weights = new PackedRows(problem.Weight.Span, problem.OutputChannels, problem.WeightZeroPoints, problem.InputZeroPoint, DotTile<TDot>.Step, TDot.InputOffset);
    }

    public override string Name => $"vector-conv-im2col-4x2-{TDot.Isa}";

    /// <summary>The kernel, or null for problems that it is not made for (depthwise and other shallow ones).</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) => problem.Depth < LeastDepth ? null : new VectorConv<TDot>(problem);

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        var window = new SpatialWindow(problem.Geometry, inputSpatial);
        int stripes = (window.OutCount + Stripe - 1) / Stripe;
        KernelThreads.Split(batch * stripes, new Work(this, window, stripes, input, output));
        // A finalizer frees the packed weights, and pointers into them hold no reference.
        GC.KeepAlive(this);
    }

    public void Dispose() => weights.Dispose();

    private readonly struct Work(VectorConv<TDot> conv, SpatialWindow window, int stripes, ReadOnlyMemory<byte> input, Memory<byte> output) : IKernelWork
    {
        /// <summary>Stripes [from, to) of output pixels, image after image.</summary>
        public void Run(int from, int to)
        {
            ConvProblem problem = conv.problem;
            Span<byte> rows = Scratch.Span(Stripe * conv.weights.Length);
            // Whatever stands behind the windows' ends is multiplied by weights of zero.
            for (int job = from; job < to; job++)
            {
                int n = job / stripes, first = job % stripes * Stripe;
                int count = Math.Min(Stripe, window.OutCount - first);
                ReadOnlySpan<byte> image = input.Span.Slice(n * problem.InputChannels * window.InCount, problem.InputChannels * window.InCount);
                Span<byte> result = output.Span.Slice(n * problem.OutputChannels * window.OutCount, problem.OutputChannels * window.OutCount);
                for (int g = 0; g < problem.Geometry.Groups; g++)
                {
                    conv.Gather(window, image.Slice(g * problem.ChannelsPerGroup * window.InCount), first, count, rows);
                    conv.Multiply(g, rows, count, result, first, window.OutCount);
                }
            }
        }
    }

    /// <summary>The windows of output pixels [first, first + count) as rows of (channel, kd, kh, kw) bytes.</summary>
    private void Gather(SpatialWindow s, ReadOnlySpan<byte> channels, int first, int count, Span<byte> rows)
    {
        byte flip = problem.InputFlip, outside = (byte)problem.InputZeroPoint;
        int taps = s.Kernel.D * s.Kernel.H * s.Kernel.W;
        for (int p = 0; p < count; p++)
        {
            int at = first + p;
            int d0 = at / (s.Out.H * s.Out.W) * s.Stride.D - s.Pad.D, h0 = at / s.Out.W % s.Out.H * s.Stride.H - s.Pad.H, w0 = at % s.Out.W * s.Stride.W - s.Pad.W;
            Span<byte> row = rows.Slice(p * weights.Length, weights.Depth);
            int tap = 0;
            for (int kd = 0; kd < s.Kernel.D; kd++)
            {
                for (int kh = 0; kh < s.Kernel.H; kh++)
                {
                    for (int kw = 0; kw < s.Kernel.W; kw++, tap++)
                    {
                        int d = d0 + kd * s.Dilation.D, h = h0 + kh * s.Dilation.H, w = w0 + kw * s.Dilation.W;
                        bool inside = (uint)d < (uint)s.In.D && (uint)h < (uint)s.In.H && (uint)w < (uint)s.In.W;
                        int x = inside ? (d * s.In.H + h) * s.In.W + w : -1;
                        for (int k = tap; k < row.Length; k += taps, x += s.InCount)
                            row[k] = inside ? (byte)(channels[x] ^ flip) : outside;
                    }
                }
            }
        }
    }

    private void Multiply(int group, Span<byte> rows, int count, Span<byte> result, int first, int plane)
    {
        int perGroup = problem.OutputChannels / problem.Geometry.Groups, from = group * perGroup, to = from + perGroup;
        Span<int> sums = stackalloc int[2 * DotTile<TDot>.Rows];
        Span<int> inputSums = stackalloc int[Stripe];
        if (weights.NeedsInputSums)
        {
            for (int p = 0; p < count; p++)
                inputSums[p] = DotTile<TDot>.Sum(rows.Slice(p * weights.Length, weights.Depth));
        }
        for (int p = 0; p < count; p += DotTile<TDot>.Rows)
        {
            // A last tile of fewer than four pixels computes on whatever rows lie behind, and keeps only its own.
            int pixels = Math.Min(DotTile<TDot>.Rows, count - p);
            ref byte x = ref MemoryMarshal.GetReference(rows[(p * weights.Length)..]);
            for (int o = from; o < to; o += 2)
            {
                DotTile<TDot>.FourByTwo(ref x, weights.Row(o), weights.Row(o + 1), weights.Length, sums);
                for (int c = 0; c < Math.Min(2, to - o); c++)
                {
                    int offset = weights.Offsets[o + c], zero = weights.ZeroPoints[o + c];
                    Span<byte> y = result.Slice((o + c) * plane + first + p, pixels);
                    for (int i = 0; i < y.Length; i++)
                        y[i] = unchecked((byte)problem.Requantizer.Apply(sums[c * DotTile<TDot>.Rows + i] + offset - zero * inputSums[p + i], o + c));
                }
            }
        }
    }
}
