using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>AVX2 without VPMADDUBSW, which would saturate pairs at int16: bytes are widened to 16 bits and multiplied by VPMADDWD, whose pairs cannot
/// overflow int32 (2 * 255 * 128).</summary>
internal readonly struct Avx2DotProduct : IDotProduct
{
    public static string Isa => "avx2";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<byte> x, Vector256<sbyte> w)
    {
        // The low and the high 16 bytes, a 16-bit lane each; lane i of each product holds bytes 2i and 2i+1 of its half.
        Vector256<int> low = Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(x.GetLower()), Avx2.ConvertToVector256Int16(w.GetLower()));
        Vector256<int> high = Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(x.GetUpper()), Avx2.ConvertToVector256Int16(w.GetUpper()));
        return sums + low + high;
    }
}
