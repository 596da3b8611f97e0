using QuantPS.Engine.Kernels;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>a, b, a zero point, b zero point -> the int32 product of (a - a zero point) and (b - b zero point). Zero points of a per tensor or per row,
/// of b per tensor or per column; leading dimensions are broadcast.</summary>
/// <remarks>Source: onnx docs/Operators.md, MatMulInteger. ONNX Runtime takes one zero point for a; the standard allows one per row, and so
/// do we.</remarks>
internal sealed class MatMulInteger : IntegerOperator
{
    public override string OpType => "MatMulInteger";

    public override bool Claims(IntegerNode node) => IsEightBit(node.TypeOf(0)) && IsEightBit(node.TypeOf(1));

    public override IntegerKernel Plan(IntegerNode node)
    {
        Memo<short[]> memo = new();
        return inputs =>
        {
            IntegerTensor a = inputs[0]!.Typed!, b = inputs[1]!.Typed!;
            MatMulShape shape = new(node, inputs[0]!, a.Shape, b.Shape);
            GraphValue? bZero = inputs.ElementAtOrDefault(3);
            short[] left = Left(shape, a, inputs.ElementAtOrDefault(2)?.Typed);
            short[] right = memo.Get([inputs[1], bZero], [], () => Right(shape, b, bZero?.Typed));
            IntegerTensor y = IntegerTensor.Allocate(DataType.Int32, shape.Output);
            Multiply(shape, left, right, y.Memory);
            return [new GraphValue(y)];
        };
    }

    public static short[] Left(MatMulShape shape, IntegerTensor a, IntegerTensor? zero)
    {
        int count = zero?.Length ?? 1;
        return Centered.From(a, zero, at => shape.RowParameter(count, at / (shape.Rows * shape.Depth), at / shape.Depth % shape.Rows));
    }

    public static short[] Right(MatMulShape shape, IntegerTensor b, IntegerTensor? zero)
    {
        int count = zero?.Length ?? 1;
        return Centered.From(b, zero, at => shape.ColumnParameter(count, at / (shape.Depth * shape.Columns), at % shape.Columns));
    }

    /// <summary>All products, as int32 little-endian.</summary>
    public static void Multiply(MatMulShape shape, short[] left, short[] right, Memory<byte> y)
    {
        int leftSize = shape.Rows * shape.Depth, rightSize = shape.Depth * shape.Columns, size = shape.Rows * shape.Columns * sizeof(int);
        for (int i = 0; i < shape.Batches; i++)
        {
            (int l, int r) = shape.Matrices(i);
            IntegerProduct.Multiply(left.AsMemory(l * leftSize, leftSize), right.AsMemory(r * rightSize, rightSize), y.Slice(i * size, size),
                shape.Rows, shape.Depth, shape.Columns);
        }
    }
}
