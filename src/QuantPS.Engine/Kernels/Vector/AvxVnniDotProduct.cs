using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>VPDPBUSD: lane i of the sums receives the products of bytes 4i to 4i+3.</summary>
internal readonly struct AvxVnniDotProduct : IDotProduct
{
    public static string Isa => "avxvnni";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<byte> x, Vector256<sbyte> w) => AvxVnni.MultiplyWideningAndAdd(sums, x, w);
}
