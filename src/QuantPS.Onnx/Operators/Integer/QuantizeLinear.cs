using System.Numerics;
using System.Runtime.InteropServices;
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
                Quantize(x.Span.Slice(start, length), y, start, scale.Span[at], zeroPoint?[at] ?? 0);
            return [new GraphValue(y)];
        };
    }

    public static void Quantize(ReadOnlySpan<float> x, IntegerTensor y, int start, float scale, int zeroPoint)
    {
        (int min, int max) = y.Range;
        if (y.Type is DataType.Int16 or DataType.Uint16)
        {
            Span<short> wide = y.As<short>().Slice(start, x.Length);
            for (int i = 0; i < x.Length; i++)
                wide[i] = unchecked((short)Quantizer.QuantizeOnnx(x[i], scale, zeroPoint, min, max));
            return;
        }
        Span<byte> bytes = y.Memory.Span.Slice(start, x.Length);
        for (int i = QuantizeVectors(x, bytes, scale, zeroPoint, min, max); i < x.Length; i++)
            bytes[i] = unchecked((byte)Quantizer.QuantizeOnnx(x[i], scale, zeroPoint, min, max));
    }

    /// <summary>The same four vectors at a time, as far as they go. Gives how far.</summary>
    private static int QuantizeVectors(ReadOnlySpan<float> x, Span<byte> y, float scale, int zeroPoint, int min, int max)
    {
        int width = Vector<float>.Count, at = 0;
        ref float source = ref MemoryMarshal.GetReference(x);
        ref byte target = ref MemoryMarshal.GetReference(y);
        Vector<float> divisor = new(scale), zero = new(zeroPoint), low = new(min), high = new(max);
        for (; at <= x.Length - 4 * width; at += 4 * width)
        {
            Vector<short> left = Vector.Narrow(Quantized(ref source, at), Quantized(ref source, at + width));
            Vector<short> right = Vector.Narrow(Quantized(ref source, at + 2 * width), Quantized(ref source, at + 3 * width));
            Vector.AsVectorByte(Vector.Narrow(left, right)).StoreUnsafe(ref target, (nuint)at);
        }
        return at;

        Vector<int> Quantized(ref float from, int position)
        {
            Vector<float> r = Vector.Round(Vector.LoadUnsafe(ref from, (nuint)position) / divisor) + zero;
            // Comparisons in this order send NaN to the minimum, as the scalar rule does.
            r = Vector.ConditionalSelect(Vector.GreaterThan(r, low), r, low);
            return Vector.ConvertToInt32(Vector.ConditionalSelect(Vector.LessThan(r, high), r, high));
        }
    }
}
