using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x, scale, zero point -> saturate(rne(x / scale) + zero point). float32 to integers of 4, 8 or 16 bits; per tensor, per axis,
/// blocked.</summary>
/// <remarks>Source: onnx docs/Operators.md, QuantizeLinear. NaN gives the type's minimum, as ONNX Runtime's kernel does.</remarks>
internal sealed class QuantizeLinear : IntegerOperator
{
    // Blocks shorter than this are done before a kernel is chosen.
    private const int LeastForKernel = 64;

    public override string OpType => "QuantizeLinear";

    public override (int Scale, int ZeroPoint)? OutputParameters => (1, 2);

    // A precision for the division other than float32 is opset 23's attribute.
    public override bool Claims(IntegerNode node) => node.TypeOf(0) == DataType.Float && node.TypeOf(1) == DataType.Float
        && IntegerTensor.Holds(node.OutputType(0)) && (DataType)node.Proto.GetInt("precision", 0) is DataType.Undefined or DataType.Float;

    public override IntegerKernel Plan(IntegerNode node)
    {
        Blocks blocks = new(node);
        DataType type = node.OutputType(0);
        return inputs =>
        {
            Tensor x = inputs[0]!.Real(), scale = inputs[1]!.Real();
            IntegerTensor? zeroPoint = inputs.ElementAtOrDefault(2)?.Typed;
            IntegerTensor y = IntegerTensor.Allocate(type, x.Shape);
            foreach ((int start, int length, int at) in blocks.Of(x.Shape, scale.Shape))
                Quantize(x.Memory.Slice(start, length), y, start, scale.Span[at], zeroPoint?[at] ?? 0);
            return [new GraphValue(y)];
        };
    }

    public static void Quantize(ReadOnlyMemory<float> x, IntegerTensor y, int start, float scale, int zeroPoint)
    {
        (int min, int max) = y.Range;
        ReadOnlySpan<float> real = x.Span;
        if (y.Type is DataType.Int16 or DataType.Uint16)
        {
            Span<short> wide = y.As<short>().Slice(start, x.Length);
            for (int i = 0; i < real.Length; i++)
                wide[i] = unchecked((short)Quantizer.QuantizeOnnx(real[i], scale, zeroPoint, min, max));
            return;
        }
        Memory<byte> integers = y.Memory.Slice(start, x.Length);
        if (IsEightBit(y.Type) && x.Length >= LeastForKernel)
        {
            QuantizeKernel.Run(x, integers, new QuantizeRule(scale, zeroPoint, y.Type == DataType.Int8 ? QDType.QInt8 : QDType.QUInt8, divides: true));
            return;
        }
        Span<byte> bytes = integers.Span;
        for (int i = 0; i < real.Length; i++)
            bytes[i] = unchecked((byte)Quantizer.QuantizeOnnx(real[i], scale, zeroPoint, min, max));
    }
}
