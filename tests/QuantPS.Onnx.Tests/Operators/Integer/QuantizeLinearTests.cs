using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>QuantizeLinear against ONNX Runtime's.</summary>
public class QuantizeLinearTests
{
    public static TheoryData<int> WholeByteTypes => new((int)DataType.Uint8, (int)DataType.Int8, (int)DataType.Uint16, (int)DataType.Int16);

    public static TheoryData<int> FourBitTypes => new((int)DataType.Uint4, (int)DataType.Int4);

    /// <summary>With all zero points for 8 bits, and zero points throughout the range for 16.</summary>
    [Theory]
    [MemberData(nameof(WholeByteTypes))]
    public void PerTensor(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType);
        using OneNode node = new("QuantizeLinear", [(DataType.Float, 2), (DataType.Float, 0), (type, 0)], [type]);
        (int min, int max) = IntegerTensor.RangeOf(type);
        for (int i = 0; i < 256; i++)
        {
            GraphValue scale = draw.Scales();
            int zeroPoint = (int)(min + (long)i * (max - min) / 255);
            int range = Math.Min(max - min, 40000);
            node.Compare(draw.Floats(scale.Real().Span[0], range, true, draw.Int(1, 5), draw.Int(1, 99)), scale,
                OneNode.Integers(type, [], zeroPoint));
        }
    }

    [Theory]
    [MemberData(nameof(WholeByteTypes))]
    public void PerAxis(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType + 100);
        for (int axis = -3; axis < 3; axis++)
        {
            using OneNode node = new("QuantizeLinear", [(DataType.Float, 3), (DataType.Float, 1), (type, 1)], [type],
                attributes: Nodes.Attribute("axis", (long)axis));
            for (int i = 0; i < 30; i++)
            {
                int[] shape = [draw.Int(1, 6), draw.Int(1, 6), draw.Int(1, 20)];
                int channels = shape[(axis + 3) % 3];
                node.Compare(draw.Floats(draw.Scale(), 300, true, shape), draw.Scales(channels), draw.Integers(type, channels));
            }
        }
    }

    /// <summary>Quotients below 2^31 only, see <see cref="SaturatesWhereOnnxRuntimeOverflows"/>.</summary>
    [Theory]
    [MemberData(nameof(WholeByteTypes))]
    public void Blocked(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType + 200);
        for (int axis = 0; axis < 3; axis++)
        {
            foreach (int size in (int[])[1, 2, 3, 16])
            {
                using OneNode node = new("QuantizeLinear", [(DataType.Float, 3), (DataType.Float, 3), (type, 3)], [type],
                    attributes: [Nodes.Attribute("axis", (long)axis), Nodes.Attribute("block_size", (long)size)]);
                for (int i = 0; i < 15; i++)
                {
                    int[] shape = [draw.Int(1, 6), draw.Int(1, 6), draw.Int(1, 20)], blocks = (int[])shape.Clone();
                    blocks[axis] = (shape[axis] + size - 1) / size;
                    node.Compare(draw.Floats(draw.Scale(), 300, false, shape), draw.Scales(blocks), draw.Integers(type, blocks));
                }
            }
        }
    }

    /// <summary>ONNX Runtime's .NET binding has no 4-bit tensors, so what was quantized is dequantized in the same model, with scale 1.
    /// Quotients below 2^31 only, see <see cref="SaturatesWhereOnnxRuntimeOverflows"/>.</summary>
    [Theory]
    [MemberData(nameof(FourBitTypes))]
    public void FourBits(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType);
        (int min, int max) = IntegerTensor.RangeOf(type);
        for (int zeroPoint = min; zeroPoint <= max; zeroPoint++)
        {
            using OneNode node = new(
                [Nodes.Create("QuantizeLinear", "q", ["in0", "in1", "zero"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "one"], ["out0"])],
                [(DataType.Float, 2), (DataType.Float, 0)], [DataType.Float],
                [OneNode.Integers(type, [], zeroPoint).Typed!.ToProto("zero"), TensorProtos.Create("one", [1f], [])]);
            for (int i = 0; i < 10; i++)
            {
                GraphValue scale = draw.Scales();
                node.Compare(draw.Floats(scale.Real().Span[0], 20, false, draw.Int(1, 5), draw.Int(1, 40)), scale);
            }
        }
    }

    /// <summary>The standard saturates, and so do ONNX Runtime's kernels per tensor and per axis. Its blocked and its 4-bit kernels convert
    /// the rounded quotient to int32 first and add the zero point then: 2^31 and more becomes INT32_MIN, and what the sum wraps to ends at
    /// the wrong end. We follow the standard.</summary>
    [Fact]
    public void SaturatesWhereOnnxRuntimeOverflows()
    {
        float[] x = [1e30f, -1e30f, float.PositiveInfinity, float.NegativeInfinity, 4e9f, -4e9f];
        foreach (DataType type in (DataType[])[DataType.Uint8, DataType.Int8, DataType.Int16])
        {
            (int min, int max) = IntegerTensor.RangeOf(type);
            using OneNode node = new("QuantizeLinear", [(DataType.Float, 1), (DataType.Float, 1), (type, 1)], [type],
                attributes: [Nodes.Attribute("axis", 0L), Nodes.Attribute("block_size", 6L)]);
            foreach (int zeroPoint in (int[])[min, min + 1, max])
            {
                GraphValue y = node.Run(OneNode.Floats([6], x), OneNode.Floats([1], 1), OneNode.Integers(type, [1], zeroPoint))[0];
                Assert.Equal([max, min, max, min, max, min], y.Typed!.ToInts());
            }
        }
        using OneNode small = new(
            [Nodes.Create("QuantizeLinear", "q", ["in0", "in1", "zero"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "one"], ["out0"])],
            [(DataType.Float, 1), (DataType.Float, 0)], [DataType.Float],
            [OneNode.Integers(DataType.Int4, [], -3).Typed!.ToProto("zero"), TensorProtos.Create("one", [1f], [])]);
        Assert.Equal([7, -8, 7, -8, 7, -8], small.Run(OneNode.Floats([6], x), OneNode.Floats([], 1))[0].Real().ToArray());
    }

    [Fact]
    public void NaNGivesTheMinimum()
    {
        foreach (DataType type in (DataType[])[DataType.Uint8, DataType.Int8])
        {
            using OneNode node = new("QuantizeLinear", [(DataType.Float, 1), (DataType.Float, 0), (type, 0)], [type]);
            // 40 of them: ONNX Runtime's vector and scalar code differ in places.
            GraphValue[] inputs = [OneNode.Floats([40], [.. Enumerable.Repeat(float.NaN, 40)]), OneNode.Floats([], 1),
                OneNode.Integers(type, [], 7)];
            Assert.All(node.Run(inputs)[0].Typed!.ToInts(), v => Assert.Equal(IntegerTensor.RangeOf(type).Min, v));
            node.Compare(inputs);
        }
    }

    [Theory]
    [InlineData(10)]
    [InlineData(13)]
    [InlineData(19)]
    [InlineData(23)]
    public void EarlierAndLaterOpsets(int opset)
    {
        Draw draw = new(opset);
        using OneNode node = new("QuantizeLinear", [(DataType.Float, 3), (DataType.Float, 0), null], [DataType.Uint8], opset);
        using OneNode back = new("DequantizeLinear", [(DataType.Int8, 3), (DataType.Float, 0), null], [DataType.Float], opset);
        for (int i = 0; i < 20; i++)
        {
            node.Compare(draw.Floats(1, 300, true, 2, 3, 4), draw.Scales());
            back.Compare(draw.Integers(DataType.Int8, 2, 3, 4), draw.Scales());
        }
    }
}
