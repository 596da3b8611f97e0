using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>Shapes of a matrix product as numpy.matmul has them: vectors are rows or columns, leading dimensions are broadcast.</summary>
internal sealed class MatMulShape
{
    private readonly int[] batch, a, b;

    public MatMulShape(IntegerNode node, GraphValue value, int[] a, int[] b)
    {
        int[] left = a.Length == 1 ? [1, a[0]] : a, right = b.Length == 1 ? [b[0], 1] : b;
        if (a.Length == 0 || b.Length == 0 || left[^1] != right[^2])
            throw Misfit();
        (Rows, Depth, Columns) = (left[^2], left[^1], right[^1]);
        int rank = Math.Max(left.Length, right.Length) - 2;
        this.a = Padded(left);
        this.b = Padded(right);
        batch = new int[rank];
        for (int d = 0; d < rank; d++)
        {
            (int p, int q) = (this.a[d], this.b[d]);
            batch[d] = p == q || q == 1 ? p : p == 1 ? q : throw Misfit();
        }
        Batches = batch.Aggregate(1, (x, y) => x * y);
        Output = [.. batch, .. a.Length == 1 ? (int[])[] : [Rows], .. b.Length == 1 ? (int[])[] : [Columns]];

        int[] Padded(int[] shape) => [.. Enumerable.Repeat(1, rank - (shape.Length - 2)), .. shape[..^2]];

        Exception Misfit() => node.Wrong($"[{string.Join(", ", a)}] cannot be multiplied with [{string.Join(", ", b)}]", value);
    }

    public int Rows { get; }

    public int Depth { get; }

    public int Columns { get; }

    /// <summary>Number of products of two matrices.</summary>
    public int Batches { get; }

    /// <summary>Shape of the result.</summary>
    public int[] Output { get; }

    /// <summary>Which matrices of a and of b a product takes.</summary>
    public (int A, int B) Matrices(int product)
    {
        int left = 0, right = 0, leftStep = 1, rightStep = 1;
        for (int d = batch.Length - 1; d >= 0; d--)
        {
            (product, int at) = Math.DivRem(product, batch[d]);
            left += a[d] == 1 ? 0 : at * leftStep;
            right += b[d] == 1 ? 0 : at * rightStep;
            leftStep *= a[d];
            rightStep *= b[d];
        }
        return (left, right);
    }

    /// <summary>Position of a row's parameter among a's: one for all, one a row, or one a row of every matrix.</summary>
    public int RowParameter(int count, int matrix, int row) => Parameter(count, Rows, matrix, row);

    /// <summary>Position of a column's parameter among b's.</summary>
    public int ColumnParameter(int count, int matrix, int column) => Parameter(count, Columns, matrix, column);

    private static int Parameter(int count, int perMatrix, int matrix, int at) =>
        count == 1 ? 0 : count == perMatrix ? at : matrix * perMatrix + at;
}
