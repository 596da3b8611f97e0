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
                float s = scale.Span[at];
                int zero = zeroPoint?[at] ?? 0;
                for (int i = start; i < start + length; i++)
                    result[i] = Quantizer.Dequantize(x[i], s, zero);
            }
            return [new GraphValue(y)];
        };
    }
}
