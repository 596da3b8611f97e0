using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Any CPU with 128-bit vectors: widened to 16 bits, multiplied there (255 * 128 fits), widened again and added.</summary>
internal readonly struct PortableDotProduct : IDotProduct
{
    public static string Isa => "vector128";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<byte> x, Vector256<sbyte> w)
    {
        (Vector256<ushort> xLow, Vector256<ushort> xHigh) = Vector256.Widen(x);
        (Vector256<short> wLow, Vector256<short> wHigh) = Vector256.Widen(w);
        // A product lies between -32640 and 32385, so 16 bits hold it.
        (Vector256<int> a, Vector256<int> b) = Vector256.Widen(xLow.AsInt16() * wLow);
        (Vector256<int> c, Vector256<int> d) = Vector256.Widen(xHigh.AsInt16() * wHigh);
        return sums + (a + b) + (c + d);
    }
}
