using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x, scale, zero point -> (x - zero point) * scale in float32. Integers of 4 to 32 bits; per tensor, per axis, blocked.</summary>
/// <remarks>Source: onnx docs/Operators.md, DequantizeLinear.</remarks>
internal sealed class DequantizeLinear : IntegerOperator
{
    // Blocks shorter than this are done before a kernel is chosen.
    private const int LeastForKernel = 64;

    public override string OpType => "DequantizeLinear";

    public override bool Claims(IntegerNode node) => IntegerTensor.Holds(node.TypeOf(0)) && node.TypeOf(1) == DataType.Float
        && node.OutputType(0) == DataType.Float;

    public override IntegerKernel Plan(IntegerNode node)
    {
        Blocks blocks = new(node);
        return inputs =>
        {
            IntegerTensor x = inputs[0]!.Typed!;
            Tensor scale = inputs[1]!.Real();
            IntegerTensor? zeroPoint = inputs.ElementAtOrDefault(2)?.Typed;
            Tensor y = new(x.Shape, ActivationPool.AllocateFloats(x.Length));
            foreach ((int start, int length, int at) in blocks.Of(x.Shape, scale.Shape))
            {
                Dequantize(x, start, y.Memory.Slice(start, length), scale.Span[at], zeroPoint?[at] ?? 0);
            }
            return [new GraphValue(y)];
        };
    }

    private static void Dequantize(IntegerTensor x, int start, Memory<float> y, float scale, int zeroPoint)
    {
        if (!IsEightBit(x.Type) || y.Length < LeastForKernel)
        {
            Span<float> result = y.Span;
            for (int i = 0; i < result.Length; i++)
                result[i] = Quantizer.Dequantize(x[start + i], scale, zeroPoint);
            return;
        }
        DequantizeKernel.Run(x.Memory.Slice(start, y.Length), x.Type == DataType.Int8 ? QDType.QInt8 : QDType.QUInt8, y, scale, zeroPoint);
    }
}
