namespace QuantPS.Engine.Kernels;

/// <summary>All that is fixed about a product of two activations when it is planned.</summary>
public sealed class MatMulProblem
{
    /// <summary>Zero point of the left operand.</summary>
    public required int LeftZeroPoint { get; init; }

    /// <summary>qint8 rather than quint8.</summary>
    public required bool LeftSigned { get; init; }

    /// <summary>Zero point of the right operand.</summary>
    public required int RightZeroPoint { get; init; }

    /// <summary>qint8 rather than quint8.</summary>
    public required bool RightSigned { get; init; }

    /// <summary>float32 factor from sums to output steps: left scale x right scale / output scale.</summary>
    public required float Multiplier { get; init; }

    /// <summary>Zero point of the result.</summary>
    public required int OutputZeroPoint { get; init; }

    /// <summary>qint8 rather than quint8.</summary>
    public required bool OutputSigned { get; init; }
}

/// <summary>Sizes of a product of stacks of matrices: for each product, which matrix of either stack it takes.</summary>
/// <param name="Rows">Rows of every left matrix.</param>
/// <param name="Depth">Columns of every left matrix, rows of every right one.</param>
/// <param name="Columns">Columns of every right matrix.</param>
/// <param name="Left">Number of the left matrix of each product.</param>
/// <param name="Right">Number of the right matrix of each product; as many.</param>
public sealed record MatMulStack(int Rows, int Depth, int Columns, int[] Left, int[] Right)
{
    /// <summary>Number of products.</summary>
    public int Products => Left.Length;
}
