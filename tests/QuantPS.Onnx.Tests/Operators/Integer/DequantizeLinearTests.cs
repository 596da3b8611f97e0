using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>DequantizeLinear against ONNX Runtime's.</summary>
public class DequantizeLinearTests
{
    public static TheoryData<int> WholeByteTypes => QuantizeLinearTests.WholeByteTypes;

    public static TheoryData<int> FourBitTypes => QuantizeLinearTests.FourBitTypes;

    [Theory]
    [MemberData(nameof(WholeByteTypes))]
    public void PerTensor(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType);
        using OneNode node = new("DequantizeLinear", [(type, 2), (DataType.Float, 0), (type, 0)], [DataType.Float]);
        (int min, int max) = IntegerTensor.RangeOf(type);
        for (int i = 0; i < 256; i++)
        {
            int zeroPoint = (int)(min + (long)i * (max - min) / 255);
            // From about a thousand elements on, 8 bits go by a table.
            int rows = draw.Of(1, 5, 20);
            node.Compare(draw.Integers(type, rows, draw.Int(1, 99)), draw.Scales(), OneNode.Integers(type, [], zeroPoint));
        }
    }

    /// <summary>An int32 loses its last bits in the conversion to float32, before it is scaled. Its zero point is 0 or left out.</summary>
    [Fact]
    public void Int32()
    {
        Draw draw = new(32);
        using OneNode node = new("DequantizeLinear", [(DataType.Int32, 2), (DataType.Float, 0), null], [DataType.Float]);
        for (int i = 0; i < 200; i++)
            node.Compare(draw.Integers(DataType.Int32, draw.Int(1, 5), draw.Int(1, 99)), draw.Scales());
    }

    [Theory]
    [MemberData(nameof(WholeByteTypes))]
    public void PerAxisAndBlocked(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType + 100);
        for (int axis = 0; axis < 3; axis++)
        {
            foreach (int size in (int[])[0, 1, 2, 3, 16])
            {
                int rank = size == 0 ? 1 : 3;
                using OneNode node = new("DequantizeLinear", [(type, 3), (DataType.Float, rank), (type, rank)], [DataType.Float],
                    attributes: [Nodes.Attribute("axis", (long)axis), Nodes.Attribute("block_size", (long)size)]);
                for (int i = 0; i < 15; i++)
                {
                    int[] shape = [draw.Int(1, 6), draw.Int(1, 6), draw.Int(1, 20)], blocks = (int[])shape.Clone();
                    blocks[axis] = size == 0 ? shape[axis] : (shape[axis] + size - 1) / size;
                    int[] parameters = size == 0 ? [shape[axis]] : blocks;
                    node.Compare(draw.Integers(type, shape), draw.Scales(parameters), draw.Integers(type, parameters));
                }
            }
        }
    }

    /// <summary>4-bit weights are constants of the model, blocked along the input channels as language models have them; odd sizes end in
    /// half a byte.</summary>
    [Theory]
    [MemberData(nameof(FourBitTypes))]
    public void FourBitWeights(int dataType)
    {
        DataType type = (DataType)dataType;
        Draw draw = new(dataType);
        for (int i = 0; i < 60; i++)
        {
            int rows = draw.Int(1, 7), columns = draw.Int(1, 33), size = draw.Of(0, 2, 16, 32);
            int[] parameters = size == 0 ? [columns] : [rows, (columns + size - 1) / size];
            using OneNode node = new(
                [Nodes.Create("DequantizeLinear", "d", ["w", "in0", "zero"], ["out0"], Nodes.Attribute("axis", 1L),
                    Nodes.Attribute("block_size", (long)size))],
                [(DataType.Float, parameters.Length)], [DataType.Float],
                [draw.Integers(type, rows, columns).Typed!.ToProto("w"), draw.Integers(type, parameters).Typed!.ToProto("zero")]);
            node.Compare(draw.Scales(parameters));
        }
    }
}
