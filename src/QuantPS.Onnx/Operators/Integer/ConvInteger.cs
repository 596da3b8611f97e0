using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Layers;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x, w, x zero point, w zero point -> the int32 sums of (x - x zero point)(w - w zero point). What is padded counts as x's zero
/// point.</summary>
/// <remarks>Source: onnx docs/Operators.md, ConvInteger. ONNX Runtime takes unsigned inputs and one zero point for the weight; the standard
/// allows signed inputs and one zero point per output channel, and so do we.</remarks>
internal sealed class ConvInteger : IntegerOperator
{
    public override string OpType => "ConvInteger";

    public override bool Claims(IntegerNode node) => IsEightBit(node.TypeOf(0)) && IsEightBit(node.TypeOf(1)) && ConvShape.Fits(node, 1);

    public override IntegerKernel Plan(IntegerNode node) => inputs =>
    {
        IntegerTensor x = inputs[0]!.Typed!, w = inputs[1]!.Typed!;
        ConvGeometry geometry = ConvShape.GeometryOf(node, x.Shape, w.Shape);
        ConvShape.Check(node, inputs[0]!, x.Shape, w.Shape, geometry);
        int[] outputSize = geometry.OutputSize(x.Shape.AsSpan(2));
        IntegerTensor y = IntegerTensor.Allocate(DataType.Int32, [x.Shape[0], w.Shape[0], .. outputSize]);
        int groups = geometry.Groups, perGroup = w.Shape[0] / groups, depth = w.Length / Math.Max(1, w.Shape[0]);
        int plane = outputSize.Aggregate(1, (a, b) => a * b);
        short[] image = Centered.From(x, inputs.ElementAtOrDefault(2)?.Typed, _ => 0);
        short[] weights = Centered.From(w, inputs.ElementAtOrDefault(3)?.Typed, at => at / depth);
        var columns = new short[depth * plane];
        for (int job = 0; job < x.Shape[0] * groups; job++)
        {
            int group = job % groups, inputPlane = x.Length / (x.Shape[0] * groups);
            Columns.Gather(image.AsSpan(job * inputPlane, inputPlane), w.Shape[1], geometry, x.Shape.AsSpan(2), columns);
            IntegerProduct.Multiply(weights.AsMemory(group * perGroup * depth, perGroup * depth), columns,
                y.Memory.Slice(job * perGroup * plane * sizeof(int), perGroup * plane * sizeof(int)), perGroup, depth, plane);
        }
        return [new GraphValue(y)];
    };
}
