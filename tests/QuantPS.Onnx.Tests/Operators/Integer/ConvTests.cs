using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>QLinearConv and ConvInteger against ONNX Runtime's, and against plain sums where it takes less than the standard.</summary>
public class ConvTests
{
    /// <summary>The pairs of input and weight type that ONNX Runtime's QLinearConv takes.</summary>
    public static TheoryData<int, int> QLinearTypes => new()
    {
        { (int)DataType.Uint8, (int)DataType.Uint8 }, { (int)DataType.Uint8, (int)DataType.Int8 }, { (int)DataType.Int8, (int)DataType.Int8 },
    };

    [Theory]
    [MemberData(nameof(QLinearTypes))]
    public void QLinearConv(int inputType, int weightType)
    {
        DataType x = (DataType)inputType, w = (DataType)weightType;
        Draw draw = new(inputType * 100 + weightType);
        for (int i = 0; i < 150; i++)
        {
            RandomConv conv = new(draw);
            bool perChannel = draw.Int(0, 1) == 1, bias = draw.Int(0, 2) > 0;
            using OneNode node = QLinear(conv, x, w, perChannel, bias, oracle: true);
            for (int k = 0; k < 5; k++)
            {
                // ONNX Runtime wants the same zero point for all channels.
                int zero = draw.Integers(w).Typed![0];
                int[] channels = perChannel ? [conv.Outputs] : [];
                GraphValue zeros = OneNode.Integers(w, channels, [.. Enumerable.Repeat(zero, perChannel ? conv.Outputs : 1)]);
                node.Compare(QLinearInputs(draw, conv, x, w, channels, bias, zeros));
            }
        }
    }

    /// <summary>The engine's layers take an int32 bias as it is: not through float32, which would round it and could not hold all of int32.</summary>
    [Fact]
    public void LayersWithIntegerBias()
    {
        int[] bias = [16777217, -16777219, int.MaxValue, 5];
        QParams input = new(0.5f, 128, QDType.QUInt8), output = new(33554.432f, 7, QDType.QUInt8);
        QParams weight = new([0.25f, 0.5f, 0.125f, 3], new int[4], QDType.QInt8, QScheme.PerChannelAffine, 0);
        Draw draw = new(8);
        int[] w = draw.Integers(DataType.Int8, 4, 1, 1, 1).Typed!.ToInts();
        QuantizedConv conv = QuantizedConv.FromIntegerBias(QuantizedTensor.FromIntegers(w, [4, 1, 1, 1], weight), bias,
            new ConvGeometry([1, 1]), input, output);
        QuantizedLinear linear = QuantizedLinear.FromIntegerBias(QuantizedTensor.FromIntegers(w, [4, 1], weight), bias, input, output);
        Assert.Equal(bias, conv.QuantizedBias);
        Assert.Equal(16777217 * 0.125f, conv.Bias![0]);

        using OneNode node = new("QLinearConv",
            [(DataType.Uint8, 4), (DataType.Float, 0), (DataType.Uint8, 0), (DataType.Int8, 4), (DataType.Float, 1), (DataType.Int8, 1),
                (DataType.Float, 0), (DataType.Uint8, 0), (DataType.Int32, 1)], [DataType.Uint8]);
        GraphValue x = draw.Integers(DataType.Uint8, 1, 1, 16, 16);
        int[] expected = node.RunOracle(x, OneNode.Floats([], 0.5f), OneNode.Integers(DataType.Uint8, [], 128),
            OneNode.Integers(DataType.Int8, [4, 1, 1, 1], w), OneNode.Floats([4], 0.25f, 0.5f, 0.125f, 3), OneNode.Integers(DataType.Int8, [4], new int[4]), OneNode.Floats([], 33554.432f),
            OneNode.Integers(DataType.Uint8, [], 7), OneNode.Integers(DataType.Int32, [4], bias))[0].Typed!.ToInts();
        Assert.Equal(expected, ((byte[])conv.Run(new QuantizedTensor([1, 1, 16, 16], x.Typed!.Memory, input)).IntRepr()).Select(v => (int)v));
        byte[] rows = (byte[])linear.Run(new QuantizedTensor([256, 1], x.Typed.Memory, input)).IntRepr();
        Assert.Equal(expected, Enumerable.Range(0, 1024).Select(i => (int)rows[i % 256 * 4 + i / 256]));
    }

    /// <summary>The standard allows a zero point for every output channel, which ONNX Runtime refuses: each channel is then a convolution
    /// of its own.</summary>
    [Fact]
    public void QLinearConvWithZeroPointsPerChannel()
    {
        Draw draw = new(5);
        for (int i = 0; i < 40; i++)
        {
            RandomConv conv = new(draw, oneGroup: true);
            using OneNode node = QLinear(conv, DataType.Uint8, DataType.Int8, perChannel: true, bias: true, oracle: false);
            using OneNode single = QLinear(conv, DataType.Uint8, DataType.Int8, perChannel: true, bias: true, oracle: true);
            GraphValue?[] inputs = QLinearInputs(draw, conv, DataType.Uint8, DataType.Int8, [conv.Outputs], true,
                draw.Integers(DataType.Int8, conv.Outputs));
            IntegerTensor y = node.Run(inputs)[0].Typed!;
            int plane = y.Length / (y.Shape[0] * conv.Outputs);
            for (int c = 0; c < conv.Outputs; c++)
            {
                GraphValue?[] own = [.. inputs];
                int[] weights = inputs[3]!.Typed!.ToInts();
                own[3] = OneNode.Integers(DataType.Int8, [1, .. conv.WeightShape[1..]], weights[(c * conv.Depth)..((c + 1) * conv.Depth)]);
                own[4] = OneNode.Floats([1], inputs[4]!.Real().Span[c]);
                own[5] = OneNode.Integers(DataType.Int8, [1], inputs[5]!.Typed![c]);
                own[8] = OneNode.Integers(DataType.Int32, [1], inputs[8]!.Typed![c]);
                int[] expected = single.RunOracle(own)[0].Typed!.ToInts();
                for (int at = 0; at < expected.Length; at++)
                    Assert.Equal(expected[at], y[(at / plane * conv.Outputs + c) * plane + at % plane]);
            }
        }
    }

    [Theory]
    [InlineData((int)DataType.Uint8)]
    [InlineData((int)DataType.Int8)]
    public void ConvInteger(int weightType)
    {
        DataType w = (DataType)weightType;
        Draw draw = new(weightType);
        for (int i = 0; i < 100; i++)
        {
            RandomConv conv = new(draw);
            int rank = conv.Spatial + 2;
            bool zeroPoints = draw.Int(0, 4) > 0;
            using OneNode node = new("ConvInteger",
                [(DataType.Uint8, rank), (w, rank), zeroPoints ? (DataType.Uint8, 0) : null, zeroPoints ? (w, 0) : null], [DataType.Int32], attributes: conv.Attributes);
            for (int k = 0; k < 5; k++)
            {
                node.Compare(draw.Integers(DataType.Uint8, conv.InputShape()), draw.Weights(w, conv.WeightShape),
                    zeroPoints ? draw.Integers(DataType.Uint8) : null, zeroPoints ? draw.Integers(w) : null);
            }
        }
    }

    /// <summary>Signed inputs and zero points per output channel are the standard's, not ONNX Runtime's. Moving int8 and its zero point up
    /// by 128 changes no sum, and each channel's sum is that of a convolution with that channel's zero point.</summary>
    [Fact]
    public void ConvIntegerSignedWithZeroPointsPerChannel()
    {
        Draw draw = new(6);
        for (int i = 0; i < 40; i++)
        {
            RandomConv conv = new(draw);
            int rank = conv.Spatial + 2;
            using OneNode node = new("ConvInteger", [(DataType.Int8, rank), (DataType.Int8, rank), (DataType.Int8, 0), (DataType.Int8, 1)],
                [DataType.Int32], oracle: false, attributes: conv.Attributes);
            using OneNode unsigned = new("ConvInteger", [(DataType.Uint8, rank), (DataType.Int8, rank), (DataType.Uint8, 0), (DataType.Int8, 0)],
                [DataType.Int32], attributes: conv.Attributes);
            GraphValue x = draw.Integers(DataType.Int8, conv.InputShape()), w = draw.Weights(DataType.Int8, conv.WeightShape);
            GraphValue xZero = draw.Integers(DataType.Int8), wZero = draw.Integers(DataType.Int8, conv.Outputs);
            IntegerTensor y = node.Run(x, w, xZero, wZero)[0].Typed!;
            int plane = y.Length / (y.Shape[0] * conv.Outputs);
            for (int c = 0; c < conv.Outputs; c++)
            {
                int[] expected = unsigned.RunOracle(Up(x), w, Up(xZero), OneNode.Integers(DataType.Int8, [], wZero.Typed![c]))[0].Typed!.ToInts();
                for (int at = 0; at < expected.Length; at++)
                {
                    if (at / plane % conv.Outputs == c)
                        Assert.Equal(expected[at], y[at]);
                }
            }
        }

        static GraphValue Up(GraphValue v) => OneNode.Integers(DataType.Uint8, v.Typed!.Shape, [.. v.Typed.ToInts().Select(i => i + 128)]);
    }

    private static OneNode QLinear(RandomConv conv, DataType x, DataType w, bool perChannel, bool bias, bool oracle)
    {
        int rank = conv.Spatial + 2, parameters = perChannel ? 1 : 0;
        return new OneNode("QLinearConv",
            [(x, rank), (DataType.Float, 0), (x, 0), (w, rank), (DataType.Float, parameters), (w, parameters), (DataType.Float, 0), (x, 0),
                bias ? (DataType.Int32, 1) : null], [x], oracle: oracle, attributes: conv.Attributes);
    }

    private static GraphValue?[] QLinearInputs(Draw draw, RandomConv conv, DataType x, DataType w, int[] channels, bool bias, GraphValue weightZero)
    {
        GraphValue xScale = draw.Scales(), wScale = draw.Scales(channels);
        // Most sums of random 8-bit products then end within the output's range; powers of two stay powers of two, for ties.
        float step = MathF.ScaleB(xScale.Real().Span[0] * wScale.Real().Span[0], draw.Int(4, 9));
        return [draw.Integers(x, conv.InputShape()), xScale, draw.Integers(x), draw.Weights(w, conv.WeightShape), wScale, weightZero,
            OneNode.Floats([], step), draw.Integers(x), bias ? conv.Bias() : null];
    }
}
