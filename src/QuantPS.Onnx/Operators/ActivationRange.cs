using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Operators;

/// <summary>The values that a Relu or Clip lets through.</summary>
public readonly record struct ActivationRange(float Low, float High)
{
    /// <summary>No limit.</summary>
    public static ActivationRange All => new(float.NegativeInfinity, float.PositiveInfinity);

    public bool IsRelu => Low == 0;

    /// <summary>The same limits for integers: the ends quantized like any value.</summary>
    public (int Low, int High) Integers(QParams qparams, bool onnxRule)
    {
        (int min, int max) = qparams.DType.Range();
        float scale = qparams.Scales[0];
        int zeroPoint = qparams.ZeroPoints[0];
        return (Quantize(Low), Quantize(High));

        int Quantize(float v) => onnxRule ? Quantizer.QuantizeOnnx(v, scale, zeroPoint, min, max)
            : Quantizer.QuantizeTorch(v, 1f / scale, zeroPoint, min, max);
    }

    /// <summary>True when the integers' own range already lets nothing else through.</summary>
    public bool IsRedundant(QParams qparams, bool onnxRule) => Integers(qparams, onnxRule) == qparams.DType.Range();

    /// <summary>True when a layer that was told of a ReLU (<see cref="IsRelu"/>) leaves nothing to limit.</summary>
    public bool IsDoneByLayer(QParams qparams, bool onnxRule) => (float.IsPositiveInfinity(High) && (IsRelu || float.IsNegativeInfinity(Low))) || IsRedundant(qparams, onnxRule);

    /// <summary>Limits a tensor's integers in place.</summary>
    public void Clamp(QuantizedTensor tensor, bool onnxRule)
    {
        (int low, int high) = Integers(tensor.QParams, onnxRule);
        new IntegerLimits(low, high).Run(tensor, inPlace: true);
    }

    public override string ToString() => $"{Low:G6}..{High:G6}";
}
