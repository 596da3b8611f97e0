using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>a, a scale, a zero point, b, b scale, b zero point, y scale, y zero point -> y. 8 bits each; a's parameters per tensor or per row, b's per
/// tensor or per column; leading dimensions are broadcast.</summary>
/// <remarks>Source: onnx docs/Operators.md, QLinearMatMul; the formula is <see cref="OnnxRuntimeRequantizer"/>'s, without bias.</remarks>
internal sealed class QLinearMatMul : IntegerOperator
{
    private const int A = 0, AScale = 1, AZero = 2, B = 3, BScale = 4, BZero = 5, YScale = 6, YZero = 7;

    public override string OpType => "QLinearMatMul";

    public override (int Scale, int ZeroPoint)? OutputParameters => (YScale, YZero);

    public override bool Claims(IntegerNode node) => IsEightBit(node.TypeOf(A)) && IsEightBit(node.TypeOf(B)) && IsEightBit(node.OutputType(0))
        && node.TypeOf(AScale) == DataType.Float;

    public override IntegerKernel Plan(IntegerNode node)
    {
        Memo<short[]> memo = new();
        DataType type = node.OutputType(0);
        return inputs =>
        {
            IntegerTensor a = inputs[A]!.Typed!, b = inputs[B]!.Typed!;
            MatMulShape shape = new(node, inputs[A]!, a.Shape, b.Shape);
            short[] left = MatMulInteger.Left(shape, a, inputs[AZero]!.Typed);
            short[] right = memo.Get([inputs[B], inputs[BZero]], [], () => MatMulInteger.Right(shape, b, inputs[BZero]!.Typed));
            var sums = new byte[TensorShape.Count(shape.Output) * sizeof(int)];
            MatMulInteger.Multiply(shape, left, right, sums);
            IntegerTensor y = IntegerTensor.Allocate(type, shape.Output);
            Requantize(shape, inputs, new IntegerTensor(DataType.Int32, shape.Output, sums), y);
            return [new GraphValue(y)];
        };
    }

    private static void Requantize(MatMulShape shape, IReadOnlyList<GraphValue?> inputs, IntegerTensor sums, IntegerTensor y)
    {
        Tensor aScale = inputs[AScale]!.Real(), bScale = inputs[BScale]!.Real();
        (int min, int max) = y.Range;
        Requantizer? requantizer = null;
        (int Row, int Column) made = (-1, -1);
        for (int i = 0; i < shape.Batches; i++)
        {
            (int l, int r) = shape.Matrices(i);
            for (int row = 0; row < shape.Rows; row++)
            {
                int rowAt = shape.RowParameter(aScale.Length, l, row), columnAt = shape.ColumnParameter(bScale.Length, r, 0);
                if (requantizer is null || made != (rowAt, columnAt))
                {
                    made = (rowAt, columnAt);
                    requantizer = new OnnxRuntimeRequantizer(new RequantizationSpec
                    {
                        InputScale = aScale.Span[rowAt],
                        WeightScales = bScale.Length == 1 ? bScale.ToArray() : bScale.Span.Slice(columnAt, shape.Columns).ToArray(),
                        PerChannelWeight = bScale.Length > 1,
                        Bias = null,
                        OutputChannels = shape.Columns,
                        OutputScale = inputs[YScale]!.Real().Span[0],
                        OutputZeroPoint = inputs[YZero]!.Typed![0],
                        OutputMin = min,
                        OutputMax = max,
                    });
                }
                int start = (i * shape.Rows + row) * shape.Columns;
                ReadOnlySpan<int> accumulators = sums.As<int>().Slice(start, shape.Columns);
                Span<byte> result = y.Memory.Span.Slice(start, shape.Columns);
                for (int c = 0; c < result.Length; c++)
                    result[c] = unchecked((byte)requantizer.Apply(accumulators[c], c));
            }
        }
    }
}
