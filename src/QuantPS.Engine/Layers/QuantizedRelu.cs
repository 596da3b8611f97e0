using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>max(q, zero point): exact, parameters unchanged.</summary>
/// <remarks>Source: aten/native/quantized/cpu/qrelu.cpp; the same integers from every engine.</remarks>
public sealed class QuantizedRelu(QParams input)
    : QuantizedElementwise(input, new LayerOptions(), p => ElementwiseTables.Direct(p, p, q => Math.Max(q, p.ZeroPoints[0])));
