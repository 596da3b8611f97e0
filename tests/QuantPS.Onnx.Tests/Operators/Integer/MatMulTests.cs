using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>QLinearMatMul and MatMulInteger against ONNX Runtime's, and against plain sums where it takes less than the standard.</summary>
public class MatMulTests
{
    public static TheoryData<int, int> Types => new()
    {
        { (int)DataType.Uint8, (int)DataType.Uint8 }, { (int)DataType.Uint8, (int)DataType.Int8 },
        { (int)DataType.Int8, (int)DataType.Int8 }, { (int)DataType.Int8, (int)DataType.Uint8 },
    };

    [Theory]
    [MemberData(nameof(Types))]
    public void MatMulInteger(int aType, int bType)
    {
        (DataType a, DataType b) = ((DataType)aType, (DataType)bType);
        Draw draw = new(aType * 10 + bType);
        for (int i = 0; i < 60; i++)
        {
            (int[] left, int[] right) = Ranks(draw);
            int perColumn = right.Length == 2 ? draw.Int(0, 1) : 0;
            bool zeroPoints = draw.Int(0, 4) > 0;
            using OneNode node = new("MatMulInteger",
                [(a, left.Length), (b, right.Length), zeroPoints ? (a, 0) : null, zeroPoints ? (b, perColumn) : null], [DataType.Int32]);
            for (int k = 0; k < 5; k++)
            {
                Resize(draw, left, right);
                node.Compare(draw.Integers(a, left), draw.Weights(b, right), zeroPoints ? draw.Integers(a) : null,
                    zeroPoints ? draw.Integers(b, perColumn == 0 ? [] : [right[^1]]) : null);
            }
        }
    }

    /// <summary>ONNX Runtime has no kernel for int8 times uint8.</summary>
    [Theory]
    [InlineData((int)DataType.Uint8, (int)DataType.Uint8)]
    [InlineData((int)DataType.Uint8, (int)DataType.Int8)]
    [InlineData((int)DataType.Int8, (int)DataType.Int8)]
    public void QLinearMatMul(int aType, int bType)
    {
        (DataType a, DataType b) = ((DataType)aType, (DataType)bType);
        Draw draw = new(aType * 10 + bType + 1000);
        for (int i = 0; i < 60; i++)
        {
            (int[] left, int[] right) = Ranks(draw);
            int perColumn = right.Length == 2 ? draw.Int(0, 1) : 0;
            using OneNode node = new("QLinearMatMul",
                [(a, left.Length), (DataType.Float, 0), (a, 0), (b, right.Length), (DataType.Float, perColumn), (b, perColumn),
                    (DataType.Float, 0), (a, 0)], [a]);
            for (int k = 0; k < 5; k++)
            {
                Resize(draw, left, right);
                int[] columns = perColumn == 0 ? [] : [right[^1]];
                GraphValue aScale = draw.Scales(), bScale = draw.Scales(columns);
                float step = MathF.ScaleB(aScale.Real().Span[0] * bScale.Real().Span[0], draw.Int(4, 10));
                node.Compare(draw.Integers(a, left), aScale, draw.Integers(a), draw.Weights(b, right), bScale, draw.Integers(b, columns),
                    OneNode.Floats([], step), draw.Integers(a));
            }
        }
    }

    /// <summary>The standard also has parameters of a per row, and per matrix of a batch for both, which ONNX Runtime refuses: here each
    /// row is a product of its own.</summary>
    [Fact]
    public void ParametersPerRowAndPerMatrix()
    {
        Draw draw = new(9);
        using OneNode integers = new("MatMulInteger",
            [(DataType.Uint8, 3), (DataType.Int8, 3), (DataType.Uint8, 3), (DataType.Int8, 3)], [DataType.Int32], oracle: false);
        using OneNode quantized = new("QLinearMatMul",
            [(DataType.Uint8, 3), (DataType.Float, 3), (DataType.Uint8, 3), (DataType.Int8, 3), (DataType.Float, 3), (DataType.Int8, 3),
                (DataType.Float, 0), (DataType.Uint8, 0)], [DataType.Uint8], oracle: false);
        using OneNode rowOfIntegers = new("MatMulInteger",
            [(DataType.Uint8, 2), (DataType.Int8, 2), (DataType.Uint8, 0), (DataType.Int8, 1)], [DataType.Int32]);
        using OneNode row = new("QLinearMatMul",
            [(DataType.Uint8, 2), (DataType.Float, 0), (DataType.Uint8, 0), (DataType.Int8, 2), (DataType.Float, 1), (DataType.Int8, 1),
                (DataType.Float, 0), (DataType.Uint8, 0)], [DataType.Uint8]);
        for (int i = 0; i < 30; i++)
        {
            int batch = draw.Int(1, 3), m = draw.Int(1, 4), k = draw.Int(1, 9), n = draw.Int(1, 9);
            GraphValue a = draw.Integers(DataType.Uint8, batch, m, k), b = draw.Weights(DataType.Int8, batch, k, n);
            GraphValue aZero = draw.Integers(DataType.Uint8, batch, m, 1), bZero = draw.Integers(DataType.Int8, batch, 1, n);
            GraphValue aScale = draw.Scales(batch, m, 1), bScale = draw.Scales(batch, 1, n);
            GraphValue yScale = OneNode.Floats([], 2), yZero = draw.Integers(DataType.Uint8);
            int[] sums = integers.Run(a, b, aZero, bZero)[0].Typed!.ToInts();
            int[] y = quantized.Run(a, aScale, aZero, b, bScale, bZero, yScale, yZero)[0].Typed!.ToInts();
            for (int r = 0; r < batch * m; r++)
            {
                int at = r / m;
                GraphValue ownA = OneNode.Integers(DataType.Uint8, [1, k], a.Typed!.ToInts()[(r * k)..((r + 1) * k)]);
                GraphValue ownB = OneNode.Integers(DataType.Int8, [k, n], b.Typed!.ToInts()[(at * k * n)..((at + 1) * k * n)]);
                GraphValue ownAZero = OneNode.Integers(DataType.Uint8, [], aZero.Typed![r]);
                GraphValue ownBZero = OneNode.Integers(DataType.Int8, [n], bZero.Typed!.ToInts()[(at * n)..((at + 1) * n)]);
                Assert.Equal(rowOfIntegers.RunOracle(ownA, ownB, ownAZero, ownBZero)[0].Typed!.ToInts(), sums[(r * n)..((r + 1) * n)]);
                GraphValue ownScale = OneNode.Floats([], aScale.Real().Span[r]),
                    ownBScale = OneNode.Floats([n], bScale.Real().Span.Slice(at * n, n).ToArray());
                Assert.Equal(row.RunOracle(ownA, ownScale, ownAZero, ownB, ownBScale, ownBZero, yScale, yZero)[0].Typed!.ToInts(),
                    y[(r * n)..((r + 1) * n)]);
            }
        }
    }

    /// <summary>Shapes with room for sizes: vectors, matrices, batches that are broadcast from either side.</summary>
    private static (int[] Left, int[] Right) Ranks(Draw draw) => draw.Int(0, 5) switch
    {
        0 => (new int[1], new int[2]),
        1 => (new int[2], new int[1]),
        2 => (new int[3], new int[2]),
        3 => (new int[draw.Int(2, 4)], new int[draw.Int(3, 4)]),
        4 => (new int[1], new int[3]),
        _ => (new int[2], new int[2]),
    };

    private static void Resize(Draw draw, int[] left, int[] right)
    {
        int depth = draw.Int(1, 40), batches = Math.Max(left.Length, right.Length) - 2;
        for (int d = 1; d <= batches; d++)
        {
            int size = draw.Int(1, 3), kind = draw.Int(0, 3);
            if (left.Length - 2 - d >= 0)
                left[^(2 + d)] = kind == 0 ? 1 : size;
            if (right.Length - 2 - d >= 0)
                right[^(2 + d)] = kind == 1 ? 1 : size;
        }
        if (left.Length > 1)
            left[^2] = draw.Int(1, 9);
        if (right.Length > 1)
            right[^1] = draw.Int(1, 40);
        left[^1] = depth;
        right[^Math.Min(2, right.Length)] = depth;
    }
}
