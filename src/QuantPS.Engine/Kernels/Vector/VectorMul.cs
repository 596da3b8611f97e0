using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Multiplications in lanes of int32, then float32, 64 or 32 products at a time.</summary>
internal static class VectorMul
{
    /// <inheritdoc cref="ReferenceMul.Run"/>
    [SkipLocalsInit]
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in MulRule rule)
    {
        if ((x.Length == 1) != (y.Length == 1) && VectorTable.Pays(z.Length))
        {
            // With a single integer it is a function of the other.
            Span<byte> table = stackalloc byte[VectorTable.Entries];
            Run(x.Length == 1 ? x : VectorTable.Bytes, y.Length == 1 ? y : VectorTable.Bytes, table, rule);
            VectorTable.Run(x.Length == 1 ? y : x, z, table);
            return;
        }
        // Multiplication commutes: if one operand is a single integer, that is y.
        if (x.Length == 1 && z.Length > 1)
            Run(y, x, z, rule with { ZeroX = rule.ZeroY, ZeroY = rule.ZeroX });
        else if (rule.Signed)
            Run<SignedBytes>(x, y, z, rule);
        else
            Run<UnsignedBytes>(x, y, z, rule);
    }

    [SkipLocalsInit]
    private static void Run<TByte>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in MulRule rule) where TByte : IByteKind
    {
        bool one = y.Length == 1;
        int i = 0;
        if (z.Length >= Lanes.Narrow)
        {
            Span<byte> spread = stackalloc byte[Lanes.Wide];
            if (one)
                spread.Fill(y[0]);
            ref byte and = ref MemoryMarshal.GetReference(one ? (ReadOnlySpan<byte>)spread : y);
            i = Vector512.IsHardwareAccelerated
                ? Run512<TByte>(ref MemoryMarshal.GetReference(x), ref and, one ? 0 : 1, z, rule)
                : Run256(ref MemoryMarshal.GetReference(x), ref and, one ? 0 : 1, z, rule);
        }
        if (i == z.Length)
            return;
        int rest = z.Length - i;
        Span<byte> restX = stackalloc byte[Lanes.Wide], restY = stackalloc byte[Lanes.Wide], restZ = stackalloc byte[Lanes.Wide];
        x[i..].CopyTo(restX);
        if (one)
            restY.Fill(y[0]);
        else
            y[i..].CopyTo(restY);
        Run<TByte>(restX, restY, restZ, rule);
        restZ[..rest].CopyTo(z[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run512<TByte>(ref byte x, ref byte y, int stepY, Span<byte> z, in MulRule rule) where TByte : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        var zero = new OutputZero(rule.ZeroPoint, rule.Signed, rule.Relu);
        Vector512<int> zeroX = Vector512.Create(rule.ZeroX), zeroY = Vector512.Create(rule.ZeroY), zeroZ = Vector512.Create(rule.ZeroPoint);
        Vector512<float> multiplier = Vector512.Create(rule.Multiplier);
        bool indefinite = rule.Indefinite;
        int i = 0;
        for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
        {
            ref byte p = ref Unsafe.Add(ref x, i), q = ref Unsafe.Add(ref y, i * stepY);
            Vector512<int> a = Product<TByte>(ref p, ref q, zeroX, zeroY, zeroZ, multiplier, indefinite);
            Vector512<int> b = Product<TByte>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), zeroX, zeroY, zeroZ, multiplier, indefinite);
            Vector512<int> c = Product<TByte>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32), zeroX, zeroY, zeroZ, multiplier, indefinite);
            Vector512<int> d = Product<TByte>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48), zeroX, zeroY, zeroZ, multiplier, indefinite);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256(ref byte x, ref byte y, int stepY, Span<byte> z, in MulRule rule)
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        var zero = new OutputZero(rule.ZeroPoint, rule.Signed, rule.Relu);
        Vector256<int> zeroZ = Vector256.Create(rule.ZeroPoint);
        Vector256<float> multiplier = Vector256.Create(rule.Multiplier);
        // qint8 is taken as quint8, 128 higher, as its zero points are.
        byte flip = rule.Signed ? (byte)0x80 : (byte)0;
        Vector256<short> zeroX = Vector256.Create((short)(rule.ZeroX + flip)), zeroY = Vector256.Create((short)(rule.ZeroY + flip));
        Vector256<byte> flips = Vector256.Create(flip);
        bool indefinite = rule.Indefinite;
        nint ahead = Lanes.Narrow * stepY;
        int i = 0;
        for (; i <= z.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            (Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d) = Lanes.Products(Vector256.LoadUnsafe(ref x, (nuint)i) ^ flips, zeroX, Vector256.LoadUnsafe(ref y) ^ flips, zeroY);
            Lanes.PackSpread(Steps(a, zeroZ, multiplier, indefinite), Steps(b, zeroZ, multiplier, indefinite), Steps(c, zeroZ, multiplier, indefinite), Steps(d, zeroZ, multiplier, indefinite), zero)
                .StoreUnsafe(ref to, (nuint)i);
            y = ref Unsafe.Add(ref y, ahead);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Product<TByte>(ref byte p, ref byte q, Vector512<int> zeroX, Vector512<int> zeroY, Vector512<int> zeroZ, Vector512<float> multiplier, bool indefinite)
        where TByte : IByteKind
    {
        Vector512<float> v = Vector512.ConvertToSingle((TByte.Widen512(ref p) - zeroX) * (TByte.Widen512(ref q) - zeroY)) * multiplier;
        return indefinite ? Lanes.Limit(Lanes.RoundIndefinite(v) + zeroZ) - zeroZ : Lanes.Round(v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Steps(Vector256<int> product, Vector256<int> zeroZ, Vector256<float> multiplier, bool indefinite)
    {
        Vector256<float> v = Vector256.ConvertToSingle(product) * multiplier;
        return indefinite ? Lanes.Limit(Lanes.RoundIndefinite(v) + zeroZ) - zeroZ : Lanes.Round(v);
    }
}
