using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Mean over dimensions that lie side by side; parameters unchanged. PyTorch's Tensor.mean on quantized tensors.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/ReduceOps.cpp mean_out_quantized_cpu. QNNPACK, quint8, 4-D over (2, 3): qnnpack/src/global-average-pooling.c,
/// rne(f32(sum of (x - z)) * (s / (s * f32(n)))) + z. Else, over the innermost dimensions of a row-major tensor
/// (kernels/QuantizedOpKernels.cpp, mean over inner dimensions): rne(f32(sum of x) / f32(n)), without the zero point. Else: dequantize, float32
/// mean, quantize, where the float32 sum is taken in the order of aten/native/cpu/SumKernel.cpp (cascade_sum, four partial sums each of
/// cascades of 16), since the order decides near-ties. One dtype, one thread.
/// </remarks>
public sealed class QuantizedMean
{
    private readonly int[] dims;
    private readonly bool keepDims, channelsLast;
    private readonly EngineKind engine;

    /// <param name="dims">Dimensions to average over; negative ones count from the end; they have to lie side by side. Empty for all.</param>
    /// <param name="keepDims">They stay, with size 1.</param>
    /// <param name="channelsLast">For [N, C, H, W] and [N, C, D, H, W]: the tensor lies in memory as a quantized convolution leaves it.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <exception cref="QuantException">UnsupportedOperator.</exception>
    public QuantizedMean(int[] dims, bool keepDims = false, bool channelsLast = true, EngineKind engine = EngineKind.X86)
    {
        OperatorChecks.TorchOnly(engine, "QuantizedMean");
        this.dims = dims;
        this.keepDims = keepDims;
        this.channelsLast = channelsLast;
        this.engine = engine;
    }

    /// <exception cref="QuantException">InvalidShape: no such dimension; UnsupportedOperator: the dimensions do not lie side by side; UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        int[] over = dims.Length == 0 ? [.. Enumerable.Range(0, x.Rank)] : [.. dims.Select(d => TensorShape.NormalizeAxis(d, x.Rank)).Order()];
        for (int i = 1; i < over.Length; i++)
        {
            if (over[i] != over[i - 1] + 1)
                throw new QuantException(ErrorIds.UnsupportedOperator, $"The mean over dimensions [{TensorShape.Format(over)}] is not supported: they have to be different ones that lie side by side.", x);
        }
        int first = over.Length == 0 ? 0 : over[0], end = over.Length == 0 ? 0 : over[^1] + 1;
        int outer = TensorShape.Count(x.Dims[..first]), n = TensorShape.Count(x.Dims[first..end]), inner = TensorShape.Count(x.Dims[end..]);
        if (n == 0)
            throw new QuantException(ErrorIds.InvalidShape, $"There is nothing to average over dimensions [{TensorShape.Format(over)}] of [{TensorShape.Format(x.Dims)}].", x);
        int[] shape = keepDims ? [.. x.Dims[..first], .. Enumerable.Repeat(1, over.Length), .. x.Dims[end..]] : [.. x.Dims[..first], .. x.Dims[end..]];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x);
        bool spatial = x.Rank is 4 or 5 && first == 2 && end == x.Rank;
        // Where both layouts are the same one, PyTorch finds the tensor row-major first.
        bool nhwc = channelsLast && x.Rank is 4 or 5 && channelsLast && x.Dims[1] > 1 && TensorShape.Count(x.Dims[2..]) > 1;
        if (nhwc && !spatial)
            throw new QuantException(ErrorIds.UnsupportedOperator, $"The mean over dimensions [{TensorShape.Format(over)}] of a channels-last tensor is not supported; say that it is row-major.", x);
        (int low, int high) = x.DType.Range();
        int zeroPoint = x.QParams.ZeroPoints[0];
        float scale = x.QParams.Scales[0];
        bool qnnpack = engine == EngineKind.Qnnpack && x.DType == QDType.QUInt8 && x.Rank == 4 && spatial && dims.Length == 2 && dims[0] == 2;
        if (qnnpack || (inner == 1 && !nhwc))
        {
            for (int o = 0; o < outer; o++)
            {
                int sum = 0;
                for (int i = 0; i < n; i++)
                    sum += x.GetInteger(o * n + i) - (qnnpack ? zeroPoint : 0);
                float v = qnnpack ? Rounding.HalfToEven(sum * (scale / (scale * n))) + zeroPoint : Rounding.HalfToEven((float)sum / n);
                y.Bytes[o] = unchecked((byte)(int)Math.Clamp(v, low, high));
            }
            return y;
        }
        // In channels-last memory the channels are the inner dimension of a sum over pixels.
        (int images, int columns) = nhwc ? (x.Dims[0], x.Dims[1]) : (outer, inner);
        float[] table = QuantizedAdd.DequantizeTable(x.QParams);
        var column = new float[n];
        int sequential = columns >= 8 ? columns / 32 * 32 : columns / 4 * 4;
        for (int o = 0; o < images; o++)
        {
            for (int c = 0; c < columns; c++)
            {
                for (int i = 0; i < n; i++)
                    column[i] = table[x.Bytes[nhwc ? (o * columns + c) * n + i : (o * n + i) * columns + c]];
                float sum = c < sequential ? Cascade(column, 0, 1, n) : Interleaved(column);
                y.Bytes[o * columns + c] = unchecked((byte)Quantizer.QuantizeTorch(sum / n, 1f / scale, zeroPoint, low, high));
            }
        }
        return y;
    }

    /// <summary>Four cascades over every fourth element, the rest added to the first (SumKernel.cpp row_sum).</summary>
    private static float Interleaved(ReadOnlySpan<float> v)
    {
        const int Ways = 4;
        int each = v.Length / Ways;
        Span<float> partial = stackalloc float[Ways];
        for (int k = 0; k < Ways; k++)
            partial[k] = Cascade(v, k, Ways, each);
        for (int i = each * Ways; i < v.Length; i++)
            partial[0] += v[i];
        return partial[0] + partial[1] + partial[2] + partial[3];
    }

    /// <summary>A sum in four levels, each taking over from the one below after 2^level_power steps (SumKernel.cpp multi_row_sum).</summary>
    private static float Cascade(ReadOnlySpan<float> v, int start, int stride, int count)
    {
        const int Levels = 4;
        int bits = count <= 1 ? 0 : 32 - int.LeadingZeroCount(count - 1);
        int power = Math.Max(4, bits / Levels), step = 1 << power, mask = step - 1;
        Span<float> level = stackalloc float[Levels];
        level.Clear();
        int i = 0;
        while (i + step <= count)
        {
            for (int j = 0; j < step; j++, i++)
                level[0] += v[start + i * stride];
            for (int j = 1; j < Levels; j++)
            {
                level[j] += level[j - 1];
                level[j - 1] = 0f;
                if ((i & (mask << (j * power))) != 0)
                    break;
            }
        }
        for (; i < count; i++)
            level[0] += v[start + i * stride];
        for (int j = 1; j < Levels; j++)
            level[0] += level[j];
        return level[0];
    }
}
