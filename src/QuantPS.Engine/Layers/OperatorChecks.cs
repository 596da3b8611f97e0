using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Checks that several operators share.</summary>
internal static class OperatorChecks
{
    /// <exception cref="QuantException">UnsupportedDType: not 8 bits, or per channel.</exception>
    public static void EightBit(QParams p, string what)
    {
        if (p.IsPerChannel || !p.DType.IsEightBit())
            throw new QuantException(ErrorIds.UnsupportedDType, $"{what} is {p}; it has to be quint8 or qint8, per tensor.");
    }

    /// <summary>The operators of PyTorch want one dtype throughout.</summary>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public static void SameDType(QParams a, QParams b, string what)
    {
        if (a.DType != b.DType)
            throw new QuantException(ErrorIds.UnsupportedDType, $"{what} needs one dtype, but got {a.DType.TorchName()} and {b.DType.TorchName()}. Quantize both alike.");
    }

    /// <exception cref="QuantException">UnsupportedOperator: ONNX Runtime's arithmetic is not PyTorch's.</exception>
    public static void TorchOnly(EngineKind engine, string what)
    {
        if (engine == EngineKind.OnnxRuntime)
            throw new QuantException(ErrorIds.UnsupportedOperator, $"{what} has PyTorch's arithmetic only. Name one of the engines x86, fbgemm, onednn or qnnpack.", engine);
    }

    public static bool SameParameters(QParams a, QParams b) => a.DType == b.DType && a.Scales[0] == b.Scales[0] && a.ZeroPoints[0] == b.ZeroPoints[0];

    public static QuantizedTensor NewTensor(int[] shape, QParams qparams, QuantizedTensor like) =>
        new(shape, ActivationPool.Allocate(TensorShape.Count(shape)), qparams) { Source = like.Source };

    /// <summary>The same for 8 bits, with the bytes that are to be filled, in a layout.</summary>
    public static QuantizedTensor NewTensor(int[] shape, QParams qparams, QuantizedTensor like, KernelLayout layout, out Memory<byte> bytes)
    {
        bytes = ActivationPool.Allocate(TensorShape.Count(shape));
        return new(shape, bytes, qparams, layout) { Source = like.Source };
    }
}
