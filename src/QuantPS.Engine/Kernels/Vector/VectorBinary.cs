using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Sums and products in float32: two vectors of bytes widened to real values, added or multiplied, and packed again, 64 or 32 at a time.</summary>
internal static class VectorBinary
{
    /// <inheritdoc cref="ReferenceBinary.Run"/>
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule)
    {
        if (rule.Operation == BinaryOperation.Add)
            Run<Sum>(x, y, z, rule);
        else
            Run<Product>(x, y, z, rule);
    }

    private static void Run<TOp>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TOp : IOperation
    {
        // ReLU is done on the integers, which cannot tell NaN from 0.
        if (!IsOrdinary(rule) && (rule.Relu || rule.Output.Compat is not (QuantizeCompat.None or QuantizeCompat.Torch2PerTensor)))
            ReferenceBinary.Run(x, y, z, rule);
        else if (rule.Fused)
            Run<TOp, FusedReals>(x, y, z, rule);
        else
            Run<TOp, PlainReals>(x, y, z, rule);
    }

    /// <summary>Whether no result can be NaN or come near the ends of int32 as steps.</summary>
    private static bool IsOrdinary(in BinaryRule rule)
    {
        const float limit = 1 << 30;
        float x = 512f * rule.ScaleX, y = 512f * rule.ScaleY, largest = rule.Operation == BinaryOperation.Add ? x + y : x * y;
        // An infinite operand times 0 is NaN.
        return Math.Max(x, y) < float.MaxValue && largest < float.MaxValue && largest * rule.Output.Inverse < limit && rule.Output.Inverse > 0f;
    }

    private static void Run<TOp, TReal>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TOp : IOperation where TReal : IRealKind
    {
        if (rule.Output.Divides && OnnxSteps.Suits(rule.Output))
            Run<TOp, TReal, OnnxSteps>(x, y, z, rule);
        else if (rule.Output.Divides)
            Run<TOp, TReal, DividingSteps>(x, y, z, rule);
        else if (IsOrdinary(rule))
            Run<TOp, TReal, OrdinarySteps>(x, y, z, rule);
        else if (rule.Output.Compat != QuantizeCompat.None)
            Run<TOp, TReal, WrappingSteps>(x, y, z, rule);
        else
            Run<TOp, TReal, TorchSteps>(x, y, z, rule);
    }

    private static void Run<TOp, TReal, TSteps>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps
    {
        switch (rule.SignedX, rule.SignedY)
        {
            case (false, false): Run<TOp, TReal, TSteps, UnsignedBytes, UnsignedBytes>(x, y, z, rule); break;
            case (true, true): Run<TOp, TReal, TSteps, SignedBytes, SignedBytes>(x, y, z, rule); break;
            case (false, true): Run<TOp, TReal, TSteps, UnsignedBytes, SignedBytes>(x, y, z, rule); break;
            default: Run<TOp, TReal, TSteps, SignedBytes, UnsignedBytes>(x, y, z, rule); break;
        }
    }

    [SkipLocalsInit]
    private static void Run<TOp, TReal, TSteps, TX, TY>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        bool oneX = x.Length == 1, oneY = y.Length == 1;
        int i = 0;
        if (z.Length >= Lanes.Narrow)
        {
            // A single integer is spread out once; the steps over it are then 0.
            Span<byte> spreadX = stackalloc byte[Lanes.Wide], spreadY = stackalloc byte[Lanes.Wide];
            ref byte from = ref MemoryMarshal.GetReference(oneX ? (ReadOnlySpan<byte>)spreadX : x), and = ref MemoryMarshal.GetReference(oneY ? (ReadOnlySpan<byte>)spreadY : y);
            if (oneX)
                spreadX.Fill(x[0]);
            if (oneY)
                spreadY.Fill(y[0]);
            i = typeof(TOp) == typeof(Sum) && typeof(TSteps) == typeof(OnnxSteps) && VectorRatioSum.Takes(rule)
                ? VectorRatioSum.Run<TX, TY, Exact<TReal, TX, TY>>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule, default)
                : Vector512.IsHardwareAccelerated
                ? Run512<TOp, TReal, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule)
                : Run256<TOp, TReal, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule);
        }
        if (i == z.Length)
            return;
        int rest = z.Length - i;
        Span<byte> restX = stackalloc byte[Lanes.Wide], restY = stackalloc byte[Lanes.Wide], restZ = stackalloc byte[Lanes.Wide];
        if (oneX)
            restX.Fill(x[0]);
        else
            x[i..].CopyTo(restX);
        if (oneY)
            restY.Fill(y[0]);
        else
            y[i..].CopyTo(restY);
        Run<TOp, TReal, TSteps, TX, TY>(restX, restY, restZ, rule);
        restZ[..rest].CopyTo(z[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run512<TOp, TReal, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        Vector512<float> scaleX = Vector512.Create(rule.ScaleX), secondX = Vector512.Create(TReal.Second(rule.ScaleX, rule.ZeroX));
        Vector512<float> scaleY = Vector512.Create(rule.ScaleY), secondY = Vector512.Create(TReal.Second(rule.ScaleY, rule.ZeroY));
        Vector512<float> factor = Vector512.Create(TSteps.Factor(rule.Output)), inverse = Vector512.Create(rule.Output.Inverse);
        Vector512<int> zeroPoint = Vector512.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector512<int> a = Step<TOp, TReal, TSteps, TX, TY>(ref p, ref q, scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> b = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> c = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> d = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Step<TOp, TReal, TSteps, TX, TY>(ref byte p, ref byte q, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> scaleY, Vector512<float> secondY,
        Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint)
        where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        Vector512<float> v = TOp.Apply(TReal.Real(Vector512.ConvertToSingle(TX.Widen512(ref p)), scaleX, secondX),
            TReal.Real(Vector512.ConvertToSingle(TY.Widen512(ref q)), scaleY, secondY));
        return TSteps.Steps(v, factor, inverse, zeroPoint);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256<TOp, TReal, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        Vector256<float> scaleX = Vector256.Create(rule.ScaleX), secondX = Vector256.Create(TReal.Second(rule.ScaleX, rule.ZeroX));
        Vector256<float> scaleY = Vector256.Create(rule.ScaleY), secondY = Vector256.Create(TReal.Second(rule.ScaleY, rule.ZeroY));
        Vector256<float> factor = Vector256.Create(TSteps.Factor(rule.Output)), inverse = Vector256.Create(rule.Output.Inverse);
        Vector256<int> zeroPoint = Vector256.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector256<int> a = Step<TOp, TReal, TSteps, TX, TY>(ref p, ref q, scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector256<int> b = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 8), ref Unsafe.Add(ref q, 8), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector256<int> c = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector256<int> d = Step<TOp, TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 24), ref Unsafe.Add(ref q, 24), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Step<TOp, TReal, TSteps, TX, TY>(ref byte p, ref byte q, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> scaleY, Vector256<float> secondY,
        Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint)
        where TOp : IOperation where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        Vector256<float> v = TOp.Apply(TReal.Real(Vector256.ConvertToSingle(TX.Widen256(ref p)), scaleX, secondX),
            TReal.Real(Vector256.ConvertToSingle(TY.Widen256(ref q)), scaleY, secondY));
        return TSteps.Steps(v, factor, inverse, zeroPoint);
    }

    private readonly struct Exact<TReal, TX, TY> : VectorRatioSum.IExactBlock where TReal : IRealKind where TX : IByteKind where TY : IByteKind
    {
        public void Run(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule) => Run512<Sum, TReal, OnnxSteps, TX, TY>(ref x, stepX, ref y, stepY, z, rule);
    }

    private interface IOperation
    {
        static abstract Vector512<float> Apply(Vector512<float> a, Vector512<float> b);

        static abstract Vector256<float> Apply(Vector256<float> a, Vector256<float> b);
    }

    private readonly struct Sum : IOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => a + b;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => a + b;
    }

    private readonly struct Product : IOperation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => a * b;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => a * b;
    }
}
