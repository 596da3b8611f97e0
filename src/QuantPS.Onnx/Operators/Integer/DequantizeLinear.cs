using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x, scale, zero point -> (x - zero point) * scale in float32. Integers of 4 to 32 bits; per tensor, per axis, blocked.</summary>
/// <remarks>Source: onnx docs/Operators.md, DequantizeLinear.</remarks>
internal sealed class DequantizeLinear : IntegerOperator
{
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
            Tensor y = new(x.Shape);
            Span<float> result = y.Span;
            foreach ((int start, int length, int at) in blocks.Of(x.Shape, scale.Shape))
            {
                Dequantize(x, start, result.Slice(start, length), scale.Span[at], zeroPoint?[at] ?? 0);
            }
            return [new GraphValue(y)];
        };
    }

    private static void Dequantize(IntegerTensor x, int start, Span<float> y, float scale, int zeroPoint)
    {
        if (!IsEightBit(x.Type) || y.Length < 4 * byte.MaxValue)
        {
            for (int i = 0; i < y.Length; i++)
                y[i] = Quantizer.Dequantize(x[start + i], scale, zeroPoint);
            return;
        }
        // 256 products, then look-ups.
        Span<float> table = stackalloc float[byte.MaxValue + 1];
        for (int b = 0; b < table.Length; b++)
            table[b] = Quantizer.Dequantize(x.Type == DataType.Int8 ? (sbyte)b : b, scale, zeroPoint);
        ReadOnlySpan<byte> bytes = x.Memory.Span.Slice(start, y.Length);
        for (int i = 0; i < y.Length; i++)
            y[i] = table[bytes[i]];
    }
}
