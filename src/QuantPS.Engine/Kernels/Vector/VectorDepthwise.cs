using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Depthwise convolution on channels-last activations: 16 channels of a pixel at once, tap by tap.</summary>
/// <remarks>(x - z_x) * w lies between -32640 and 32640, so a 16-bit product is exact; it is widened and added in 32 bits. Where weights have zero
/// points, z_w times the sum of (x - z_x) is taken off at the end. Taps outside the image add nothing and are left out. Channels beyond the last
/// whole 16 go through the scalar rule. Any CPU with 128-bit vectors.</remarks>
internal sealed unsafe class VectorDepthwise : ConvKernel, IDisposable
{
    private const int Lanes = 16;
    private readonly ConvProblem problem;
    private readonly VectorRequantizer requantizer;
    private readonly PackedMemory memory;
    private readonly short* weights;
    private readonly int channels;
    private readonly bool symmetric;

    private VectorDepthwise(ConvProblem problem)
    {
        this.problem = problem;
        requantizer = new VectorRequantizer(problem.Requantizer.Form);
        channels = problem.OutputChannels;
        symmetric = Array.TrueForAll(problem.WeightZeroPoints, z => z == 0);
        // [tap][channel], widened once.
        memory = new PackedMemory((long)problem.Depth * channels * sizeof(short));
        weights = (short*)memory.Address;
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        for (int c = 0; c < channels; c++)
            for (int t = 0; t < problem.Depth; t++)
                weights[t * channels + c] = w[c * problem.Depth + t];
    }

    public override string Name => "vector-depthwise-nhwc-16";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <summary>The kernel, or null for other than one input and one output channel a group, and for an output scale whose reciprocal is infinite:
    /// 0 times that is NaN, which a ReLU by clamping does not treat as the scalar rule does.</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) =>
        problem.ChannelsPerGroup == 1 && problem.OutputChannels == problem.Geometry.Groups && problem.OutputChannels >= Lanes
        && float.IsFinite(problem.Requantizer.Form.Factor ?? 1f)
            ? new VectorDepthwise(problem)
            : null;

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        var window = new SpatialWindow(problem.Geometry, inputSpatial);
        int rows = window.Out.D * window.Out.H;
        KernelThreads.Split(batch * rows, new Work(this, window, rows, input, output));
        // A finalizer frees the packed weights, and pointers into them hold no reference.
        GC.KeepAlive(this);
    }

    public void Dispose() => memory.Dispose();

    private readonly struct Work(VectorDepthwise conv, SpatialWindow window, int rows, ReadOnlyMemory<byte> input, Memory<byte> output) : IKernelWork
    {
        /// <summary>Output rows [from, to), image after image.</summary>
        public void Run(int from, int to)
        {
            int channels = conv.channels, imageBytes = window.InCount * channels, rowBytes = window.Out.W * channels;
            for (int job = from; job < to; job++)
            {
                int n = job / rows, row = job % rows;
                conv.Row(window, input.Span.Slice(n * imageBytes, imageBytes), row / window.Out.H, row % window.Out.H, output.Span.Slice(job * rowBytes, rowBytes));
            }
        }
    }

    private void Row(SpatialWindow s, ReadOnlySpan<byte> image, int od, int oh, Span<byte> output)
    {
        // Byte offset of every tap inside the image, and its weights; only the column part changes along the row.
        Span<int> pixels = stackalloc int[problem.Depth], taps = stackalloc int[problem.Depth];
        for (int ow = 0; ow < s.Out.W; ow++)
        {
            int count = 0, tap = 0;
            for (int kd = 0; kd < s.Kernel.D; kd++)
            {
                for (int kh = 0; kh < s.Kernel.H; kh++)
                {
                    for (int kw = 0; kw < s.Kernel.W; kw++, tap++)
                    {
                        int d = od * s.Stride.D - s.Pad.D + kd * s.Dilation.D, h = oh * s.Stride.H - s.Pad.H + kh * s.Dilation.H, w = ow * s.Stride.W - s.Pad.W + kw * s.Dilation.W;
                        if ((uint)d >= (uint)s.In.D || (uint)h >= (uint)s.In.H || (uint)w >= (uint)s.In.W)
                            continue;
                        pixels[count] = ((d * s.In.H + h) * s.In.W + w) * channels;
                        taps[count++] = tap * channels;
                    }
                }
            }
            Pixel(image, pixels[..count], taps[..count], output.Slice(ow * channels, channels));
        }
    }

    private void Pixel(ReadOnlySpan<byte> image, ReadOnlySpan<int> pixels, ReadOnlySpan<int> taps, Span<byte> y)
    {
        ref byte x = ref MemoryMarshal.GetReference(image);
        Vector256<short> zero = Vector256.Create((short)problem.InputZeroPoint);
        Vector128<byte> flip = Vector128.Create(problem.InputFlip);
        int c = 0;
        for (; c <= channels - Lanes; c += Lanes)
        {
            // low: channels c to c + 7, high: c + 8 to c + 15.
            Vector256<int> low = default, high = default;
            for (int t = 0; t < pixels.Length; t++)
            {
                (Vector128<ushort> a, Vector128<ushort> b) = Vector128.Widen(Vector128.LoadUnsafe(ref Unsafe.Add(ref x, pixels[t] + c)) ^ flip);
                Vector256<short> product = (Vector256.Create(a, b).AsInt16() - zero) * Vector256.Load(weights + taps[t] + c);
                (Vector256<int> p, Vector256<int> q) = Vector256.Widen(product);
                low += p;
                high += q;
            }
            if (!symmetric)
            {
                (Vector256<int> lowInputs, Vector256<int> highInputs) = InputSums(ref x, pixels, c, zero, flip);
                low -= lowInputs * Vector256.Create(problem.WeightZeroPoints, c);
                high -= highInputs * Vector256.Create(problem.WeightZeroPoints, c + Lanes / 2);
            }
            Vector256<int> first = requantizer.Apply(low, c), second = requantizer.Apply(high, c + Lanes / 2);
            // Clamped already: dropping the upper bits loses nothing.
            Vector256<short> words = Vector256.Narrow(first, second);
            Vector128.Narrow(words.GetLower(), words.GetUpper()).AsByte().StoreUnsafe(ref MemoryMarshal.GetReference(y), (nuint)c);
        }
        for (; c < channels; c++)
        {
            int sum = 0;
            for (int t = 0; t < pixels.Length; t++)
                sum += ((image[pixels[t] + c] ^ problem.InputFlip) - problem.InputZeroPoint) * (weights[taps[t] + c] - problem.WeightZeroPoints[c]);
            y[c] = unchecked((byte)problem.Requantizer.Apply(sum, c));
        }
    }

    /// <summary>The sums of (x - z_x) over the taps, of channels c to c + 7 and c + 8 to c + 15.</summary>
    private static (Vector256<int> Low, Vector256<int> High) InputSums(ref byte x, ReadOnlySpan<int> pixels, int c, Vector256<short> zero, Vector128<byte> flip)
    {
        Vector256<int> low = default, high = default;
        foreach (int pixel in pixels)
        {
            (Vector128<ushort> a, Vector128<ushort> b) = Vector128.Widen(Vector128.LoadUnsafe(ref Unsafe.Add(ref x, pixel + c)) ^ flip);
            (Vector256<int> p, Vector256<int> q) = Vector256.Widen(Vector256.Create(a, b).AsInt16() - zero);
            low += p;
            high += q;
        }
        return (low, high);
    }
}
