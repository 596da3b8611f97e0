using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x -> uint8, with the scale and the zero point of its own range, which includes 0: scale = (max - min) / 255, zero point =
/// rne(-min / scale).</summary>
/// <remarks>Source: onnx docs/Operators.md, DynamicQuantizeLinear; onnxruntime core/util/qmath.h GetQuantizationParameter: all zeros have
/// the scale 1.</remarks>
internal sealed class DynamicQuantizeLinear : IntegerOperator
{
    public override string OpType => "DynamicQuantizeLinear";

    public override bool Claims(IntegerNode node) => node.TypeOf(0) == DataType.Float;

    public override IntegerKernel Plan(IntegerNode node) => inputs =>
    {
        Tensor x = inputs[0]!.Real();
        float min = 0, max = 0;
        foreach (float v in x.Span)
        {
            min = v < min ? v : min;
            max = v > max ? v : max;
        }
        float scale = min == max ? 1 : (max - min) / 255f;
        int zeroPoint = Rounding.Saturate(-min / scale, 0, 255);
        IntegerTensor y = IntegerTensor.Allocate(DataType.Uint8, x.Shape);
        QuantizeLinear.Quantize(x.Memory, y, 0, scale, zeroPoint);
        return [new GraphValue(y), new GraphValue(new Tensor([], new[] { scale })),
            new GraphValue(new IntegerTensor(DataType.Uint8, [], new[] { (byte)zeroPoint }))];
    };
}
