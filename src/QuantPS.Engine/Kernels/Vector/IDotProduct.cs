using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>One instruction set's way to add 32 products of unsigned and signed bytes to eight int32 sums.</summary>
/// <remarks>Which product goes to which lane is each implementation's own affair; only the sum over all lanes counts, and it is exact.</remarks>
internal interface IDotProduct
{
    /// <summary>The name in a kernel's name.</summary>
    static abstract string Isa { get; }

    /// <summary>What is taken off every x before it is multiplied, where the instruction wants it so; <see cref="PackedRows"/> makes it good.</summary>
    static virtual int InputOffset => 0;

    /// <summary>sums += (x - InputOffset) * w, 32 bytes each; no int16 saturation anywhere.</summary>
    static abstract Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<byte> x, Vector256<sbyte> w);
}
