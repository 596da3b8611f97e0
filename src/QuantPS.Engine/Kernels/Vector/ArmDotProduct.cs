using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>SDOT (Arm64's dot-product extension): lane i of the sums receives the products of bytes 4i to 4i+3. It multiplies signed by signed bytes,
/// so that it is given x - 128; the packed rows make that good.</summary>
/// <remarks>Source: Arm Architecture Reference Manual, SDOT (vector). A CPU without it runs plain vectors in its place, which changes nothing but which
/// lane a product goes to: so that all the rest of this kernel can be tested anywhere. With SDOT it has run under QEMU only, bit-equal to the
/// reference over the whole kernel sweep; never yet on Arm hardware, so its speed is unknown.</remarks>
internal readonly struct ArmDotProduct : IDotProduct
{
    public static string Isa => "armdp";

    public static int InputOffset => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<byte> x, Vector256<sbyte> w) =>
        Vector256.Create(Half(sums.GetLower(), x.GetLower(), w.GetLower()), Half(sums.GetUpper(), x.GetUpper(), w.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Half(Vector128<int> sums, Vector128<byte> x, Vector128<sbyte> w)
    {
        // x - 128 as a signed byte is x with its uppermost bit flipped.
        Vector128<sbyte> v = (x ^ Vector128.Create((byte)0x80)).AsSByte();
        return Dp.IsSupported ? Dp.DotProduct(sums, v, w) : Plain(sums, v, w);
    }

    private static Vector128<int> Plain(Vector128<int> sums, Vector128<sbyte> v, Vector128<sbyte> w)
    {
        (Vector128<short> vLow, Vector128<short> vHigh) = Vector128.Widen(v);
        (Vector128<short> wLow, Vector128<short> wHigh) = Vector128.Widen(w);
        // A product lies between -16256 and 16384, so 16 bits hold it.
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(vLow * wLow);
        (Vector128<int> c, Vector128<int> d) = Vector128.Widen(vHigh * wHigh);
        return sums + (a + b) + (c + d);
    }
}
