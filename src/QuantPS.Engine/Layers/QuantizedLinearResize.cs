using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Images [N, C, H, W] in another height and width by linear interpolation: what DequantizeLinear, Resize and QuantizeLinear of a file mean, bit for bit. Reads either layout and
/// keeps it.</summary>
/// <remarks>See <see cref="LinearResizeAxis"/> for the positions and <see cref="QuantizedInterpolate"/> for PyTorch's arithmetic, which is another.</remarks>
public sealed class QuantizedLinearResize
{
    private readonly Func<int, int, (LinearResizeAxis Height, LinearResizeAxis Width)> axes;
    private readonly QParams output;
    private readonly bool onnxRule;
    private Known? last;

    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="axes">Height and width of an input to how they are interpolated.</param>
    /// <param name="onnxRule">Quantize by division, as ONNX does, rather than by the reciprocal.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedLinearResize(QParams output, Func<int, int, (LinearResizeAxis Height, LinearResizeAxis Width)> axes, bool onnxRule = true)
    {
        OperatorChecks.EightBit(output, "The result");
        this.output = output;
        this.axes = axes;
        this.onnxRule = onnxRule;
    }

    /// <exception cref="QuantException">ShapeMismatch: not [N, C, H, W], or no pixels; UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        if (x.Rank != 4 || x.Dims[2] < 1 || x.Dims[3] < 1)
            throw new QuantException(ErrorIds.ShapeMismatch, $"Linear interpolation takes [N, C, H, W] with at least one pixel, but the input is [{TensorShape.Format(x.Dims)}].", x);
        (int batch, int channels) = (x.Dims[0], x.Dims[1]);
        bool pixels = x.TryGetChannelsLast(out Memory<byte> bytes);
        if (!pixels)
            (batch, channels, bytes) = (batch * channels, 1, x.Memory);
        Known known = For(x.Dims[2], x.Dims[3], channels);
        int[] shape = [x.Dims[0], x.Dims[1], known.Height.Count, known.Width.Count];
        QuantizedTensor y = OperatorChecks.NewTensor(shape, output, x, pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous, out Memory<byte> result);
        known.Kernel.Run(bytes, result, batch, new LinearResizeRule(x.QParams.Scales[0], x.QParams.ZeroPoints[0], x.DType == QDType.QInt8,
            new QuantizeRule(output.Scales[0], output.ZeroPoints[0], output.DType, onnxRule)));
        return y;
    }

    private Known For(int height, int width, int channels)
    {
        // Another thread's may be lost; then they are made once more.
        Known? known = last;
        if (known is null || known.Height.Size != height || known.Width.Size != width || known.Kernel.Channels != channels)
        {
            (LinearResizeAxis h, LinearResizeAxis w) = axes(height, width);
            last = known = new Known(h, w, new LinearResizeKernel(h, w, channels));
        }
        return known;
    }

    private sealed record Known(LinearResizeAxis Height, LinearResizeAxis Width, LinearResizeKernel Kernel);
}
