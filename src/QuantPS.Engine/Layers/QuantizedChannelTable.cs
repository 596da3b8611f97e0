using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A function of one variable per channel (dimension 1) on 8-bit integers, by a table of 256 entries each:
/// quantize(f(channel, dequantize(q))). Exact by construction.</summary>
public sealed class QuantizedChannelTable
{
    /// <summary>Bytes that are worth a thread of their own.</summary>
    private const int Least = 32 * 1024;

    /// <summary>Channels whose tables, 256 bytes each, are half of a first-level cache.</summary>
    private const int Block = 64;

    private readonly byte[] tables;
    private readonly int channels;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the output.</param>
    /// <param name="channels">Number of channels.</param>
    /// <param name="function">Channel and float32 to float32.</param>
    /// <param name="onnxRule">Quantize by division, as ONNX does.</param>
    public QuantizedChannelTable(QParams input, QParams output, int channels, Func<int, float, float> function, bool onnxRule = false)
    {
        this.channels = channels;
        OutputQParams = output;
        tables = new byte[channels * 256];
        float[] real = QuantizedAdd.DequantizeTable(input);
        (int low, int high) = output.DType.Range();
        float scale = output.Scales[0];
        for (int i = 0; i < tables.Length; i++)
        {
            float v = function(i >> 8, real[i & 255]);
            tables[i] = unchecked((byte)(onnxRule
                ? Quantizer.QuantizeOnnx(v, scale, output.ZeroPoints[0], low, high)
                : Quantizer.QuantizeTorch(v, 1f / scale, output.ZeroPoints[0], low, high)));
        }
    }

    public QParams OutputQParams { get; }

    /// <param name="x">[N, channels, ...]</param>
    /// <param name="inPlace">Write over it: nobody needs it any more.</param>
    /// <exception cref="QuantException">ShapeMismatch: another number of channels.</exception>
    public QuantizedTensor Run(QuantizedTensor x, bool inPlace = false)
    {
        if (x.Rank < 2 || x.Dims[1] != channels)
            throw new QuantException(ErrorIds.ShapeMismatch, $"A table for {channels} channels cannot take the shape [{TensorShape.Format(x.Dims)}].", x);
        bool isLast = x.TryGetChannelsLast(out Memory<byte> bytes);
        bytes = isLast ? bytes : x.Memory;
        KernelLayout layout = isLast ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        Memory<byte> output = bytes;
        QuantizedTensor y = inPlace ? new QuantizedTensor(x.Shape, bytes, OutputQParams, layout) { Source = x.Source } : OperatorChecks.NewTensor(x.Shape, OutputQParams, x, layout, out output);
        if (x.Length == 0)
            return y;
        int row = isLast ? channels : x.Length / x.Dims[0] / channels;
        KernelThreads.Split(x.Length / row, Math.Max(1, Least / row), new Work(bytes, output, tables, channels, row, isLast, KernelSelector.UsesVectors));
        return y;
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, byte[] tables, int channels, int row, bool isLast, bool vectors) : IKernelWork
    {
        /// <summary>Rows are pixels with all their channels, or the plane of a channel.</summary>
        public void Run(int from, int to)
        {
            if (isLast)
            {
                Pixels(from, to);
                return;
            }
            for (int r = from; r < to; r++)
            {
                ReadOnlySpan<byte> source = x.Span.Slice(r * row, row);
                Span<byte> target = y.Span.Slice(r * row, row);
                TableKernel.Run(source, target, tables.AsSpan(r % channels * 256, 256), vectors);
            }
        }

        /// <summary>Some channels of every pixel, then the next ones: their tables stay in the first-level cache.</summary>
        private void Pixels(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span.Slice(from * channels, (to - from) * channels);
            Span<byte> target = y.Span.Slice(from * channels, (to - from) * channels);
            int pixels = to - from, c = 0;
            if (vectors && VectorChannelTable.IsSupported)
            {
                int whole = pixels - pixels % VectorChannelTable.Pixels;
                for (; c <= channels - VectorChannelTable.Channels; c += VectorChannelTable.Channels)
                {
                    ReadOnlySpan<byte> some = tables.AsSpan(c * 256, VectorChannelTable.Channels * 256);
                    VectorChannelTable.Run(source[c..], target[c..], some, channels, whole / VectorChannelTable.Pixels);
                    if (whole < pixels)
                        Pixels(source[(whole * channels + c)..], target[(whole * channels + c)..], some, channels, VectorChannelTable.Channels, pixels - whole);
                }
            }
            for (; c < channels; c += Block)
                Pixels(source[c..], target[c..], tables.AsSpan(c * 256), channels, Math.Min(Block, channels - c), pixels);
        }

        /// <summary>Four channels of a pixel at a time: their bytes in one word, a look-up each, and back in one word.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Pixels(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> tables, int step, int channels, int pixels)
        {
            ref byte source = ref MemoryMarshal.GetReference(x);
            ref byte target = ref MemoryMarshal.GetReference(y);
            ref byte first = ref MemoryMarshal.GetReference(tables);
            for (int p = 0; p < pixels; p++)
            {
                ref byte table = ref first;
                int c = 0;
                for (; c <= channels - 4; c += 4)
                {
                    uint q = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref source, c));
                    uint low = Unsafe.Add(ref table, (nuint)(byte)q) | (uint)Unsafe.Add(ref table, 256 + (nuint)(byte)(q >> 8)) << 8;
                    uint high = Unsafe.Add(ref table, 512 + (nuint)(byte)(q >> 16)) | (uint)Unsafe.Add(ref table, 768 + (nuint)(q >> 24)) << 8;
                    Unsafe.WriteUnaligned(ref Unsafe.Add(ref target, c), low | high << 16);
                    table = ref Unsafe.Add(ref table, 4 * 256);
                }
                for (; c < channels; c++)
                {
                    Unsafe.Add(ref target, c) = Unsafe.Add(ref table, Unsafe.Add(ref source, c));
                    table = ref Unsafe.Add(ref table, 256);
                }
                source = ref Unsafe.Add(ref source, step);
                target = ref Unsafe.Add(ref target, step);
            }
        }
    }
}
