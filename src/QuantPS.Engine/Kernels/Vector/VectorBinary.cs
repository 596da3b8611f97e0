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
    [SkipLocalsInit]
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule)
    {
        if ((x.Length == 1) != (y.Length == 1) && VectorTable.Pays(z.Length))
        {
            // With a single integer it is a function of the other.
            Span<byte> table = stackalloc byte[VectorTable.Entries];
            Run(x.Length == 1 ? x : VectorTable.Bytes, y.Length == 1 ? y : VectorTable.Bytes, table, rule);
            VectorTable.Run(x.Length == 1 ? y : x, z, table);
            return;
        }
        if (rule is { IsByRatios: true, FirstIsInner: false })
            Bytes<RatioSum<SecondInner>, WholeSteps>(x, y, z, rule);
        else if (rule.IsByRatios)
            Bytes<RatioSum<FirstInner>, WholeSteps>(x, y, z, rule);
        // ReLU is done on the integers, which cannot tell NaN from 0.
        else if (!IsOrdinary(rule) && (rule.Relu || rule.Output.Compat is not (QuantizeCompat.None or QuantizeCompat.Torch2PerTensor)))
            ReferenceBinary.Run(x, y, z, rule);
        else if (rule.Fused)
            Run<FusedReals>(x, y, z, rule);
        else
            Run<PlainReals>(x, y, z, rule);
    }

    private static void Run<TReal>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TReal : IRealKind
    {
        if (rule.Operation == BinaryOperation.Add)
            Quantized<Sum<TReal>>(x, y, z, rule);
        else
            Quantized<Product<TReal>>(x, y, z, rule);
    }

    /// <summary>Whether no result can be NaN or come near the ends of int32 as steps.</summary>
    private static bool IsOrdinary(in BinaryRule rule)
    {
        const float limit = 1 << 30;
        float x = 512f * rule.ScaleX, y = 512f * rule.ScaleY, largest = rule.Operation == BinaryOperation.Add ? x + y : x * y;
        // An infinite operand times 0 is NaN.
        return Math.Max(x, y) < float.MaxValue && largest < float.MaxValue && largest * rule.Output.Inverse < limit && rule.Output.Inverse > 0f;
    }

    private static void Quantized<TOp>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TOp : IOperation
    {
        if (rule.Output.Divides && OnnxSteps.Suits(rule.Output))
            Bytes<TOp, OnnxSteps>(x, y, z, rule);
        else if (rule.Output.Divides)
            Bytes<TOp, DividingSteps>(x, y, z, rule);
        else if (IsOrdinary(rule))
            Bytes<TOp, OrdinarySteps>(x, y, z, rule);
        else if (rule.Output.Compat != QuantizeCompat.None)
            Bytes<TOp, WrappingSteps>(x, y, z, rule);
        else
            Bytes<TOp, TorchSteps>(x, y, z, rule);
    }

    private static void Bytes<TOp, TSteps>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule) where TOp : IOperation where TSteps : IQuantizeSteps
    {
        switch (rule.SignedX, rule.SignedY)
        {
            case (false, false): Run<TOp, TSteps, UnsignedBytes, UnsignedBytes>(x, y, z, rule); break;
            case (true, true): Run<TOp, TSteps, SignedBytes, SignedBytes>(x, y, z, rule); break;
            case (false, true): Run<TOp, TSteps, UnsignedBytes, SignedBytes>(x, y, z, rule); break;
            default: Run<TOp, TSteps, SignedBytes, UnsignedBytes>(x, y, z, rule); break;
        }
    }

    [SkipLocalsInit]
    private static void Run<TOp, TSteps, TX, TY>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
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
            i = Vector512.IsHardwareAccelerated
                ? Run512<TOp, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule)
                : Run256<TOp, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule);
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
        Run<TOp, TSteps, TX, TY>(restX, restY, restZ, rule);
        restZ[..rest].CopyTo(z[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run512<TOp, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        (float secondOfX, float secondOfY) = TOp.Seconds(rule);
        Vector512<float> scaleX = Vector512.Create(rule.ScaleX), secondX = Vector512.Create(secondOfX), scaleY = Vector512.Create(rule.ScaleY), secondY = Vector512.Create(secondOfY);
        Vector512<float> factor = Vector512.Create(TSteps.Factor(rule.Output)), inverse = Vector512.Create(rule.Output.Inverse);
        Vector512<int> zeroPoint = Vector512.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(TOp.AddsZero ? rule.Output.ZeroPoint : 0, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector512<int> a = Step<TOp, TSteps, TX, TY>(ref p, ref q, scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> b = Step<TOp, TSteps, TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> c = Step<TOp, TSteps, TX, TY>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Vector512<int> d = Step<TOp, TSteps, TX, TY>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48), scaleX, secondX, scaleY, secondY, factor, inverse, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Step<TOp, TSteps, TX, TY>(ref byte p, ref byte q, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> scaleY, Vector512<float> secondY,
        Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint)
        where TOp : IOperation where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        Vector512<float> v = TOp.Apply(Vector512.ConvertToSingle(TX.Widen512(ref p)), scaleX, secondX, Vector512.ConvertToSingle(TY.Widen512(ref q)), scaleY, secondY);
        return TSteps.Steps(v, factor, inverse, zeroPoint);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256<TOp, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule)
        where TOp : IOperation where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        (float secondOfX, float secondOfY) = TOp.Seconds(rule);
        Vector256<float> scaleX = Vector256.Create(rule.ScaleX), secondX = Vector256.Create(secondOfX), scaleY = Vector256.Create(rule.ScaleY), secondY = Vector256.Create(secondOfY);
        Vector256<float> factor = Vector256.Create(TSteps.Factor(rule.Output)), inverse = Vector256.Create(rule.Output.Inverse);
        Vector256<int> zeroPoint = Vector256.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(TOp.AddsZero ? rule.Output.ZeroPoint : 0, rule.Output.Min < 0, rule.Relu);
        nint aheadX = Lanes.Narrow * stepX, aheadY = Lanes.Narrow * stepY;
        int i = 0;
        for (; i <= z.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            (Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d) = TX.Spread256(ref x);
            (Vector256<float> e, Vector256<float> f, Vector256<float> g, Vector256<float> h) = TY.Spread256(ref y);
            (Vector256<int> p, Vector256<int> q, Vector256<int> r, Vector256<int> s) = QuantizeSteps.Four<TSteps>(
                TOp.Apply(a, scaleX, secondX, e, scaleY, secondY), TOp.Apply(b, scaleX, secondX, f, scaleY, secondY),
                TOp.Apply(c, scaleX, secondX, g, scaleY, secondY), TOp.Apply(d, scaleX, secondX, h, scaleY, secondY), factor, inverse, zeroPoint);
            Lanes.PackSpread(p, q, r, s, zero).StoreUnsafe(ref to, (nuint)i);
            x = ref Unsafe.Add(ref x, aheadX);
            y = ref Unsafe.Add(ref y, aheadY);
        }
        return i;
    }

    /// <summary>Two vectors of integers as float32 to the result.</summary>
    private interface IOperation
    {
        /// <summary>Whether the result's zero point is still to be added.</summary>
        static abstract bool AddsZero { get; }

        /// <summary>The number beside the scale for each operand.</summary>
        static abstract (float X, float Y) Seconds(in BinaryRule rule);

        static abstract Vector512<float> Apply(Vector512<float> x, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> y, Vector512<float> scaleY, Vector512<float> secondY);

        static abstract Vector256<float> Apply(Vector256<float> x, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> y, Vector256<float> scaleY, Vector256<float> secondY);
    }

    /// <summary>Of real values.</summary>
    private readonly struct Sum<TReal> : IOperation where TReal : IRealKind
    {
        public static bool AddsZero => true;

        public static (float, float) Seconds(in BinaryRule rule) => (TReal.Second(rule.ScaleX, rule.ZeroX), TReal.Second(rule.ScaleY, rule.ZeroY));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Apply(Vector512<float> x, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> y, Vector512<float> scaleY, Vector512<float> secondY) =>
            TReal.Real(x, scaleX, secondX) + TReal.Real(y, scaleY, secondY);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Apply(Vector256<float> x, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> y, Vector256<float> scaleY, Vector256<float> secondY) =>
            TReal.Real(x, scaleX, secondX) + TReal.Real(y, scaleY, secondY);
    }

    /// <summary>Of real values.</summary>
    private readonly struct Product<TReal> : IOperation where TReal : IRealKind
    {
        public static bool AddsZero => true;

        public static (float, float) Seconds(in BinaryRule rule) => (TReal.Second(rule.ScaleX, rule.ZeroX), TReal.Second(rule.ScaleY, rule.ZeroY));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Apply(Vector512<float> x, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> y, Vector512<float> scaleY, Vector512<float> secondY) =>
            TReal.Real(x, scaleX, secondX) * TReal.Real(y, scaleY, secondY);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Apply(Vector256<float> x, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> y, Vector256<float> scaleY, Vector256<float> secondY) =>
            TReal.Real(x, scaleX, secondX) * TReal.Real(y, scaleY, secondY);
    }

    /// <summary>In steps: the constant stands beside the first ratio.</summary>
    private readonly struct RatioSum<TOrder> : IOperation where TOrder : IOrder
    {
        public static bool AddsZero => false;

        public static (float, float) Seconds(in BinaryRule rule) => (rule.Constant, 0f);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Apply(Vector512<float> x, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> y, Vector512<float> scaleY, Vector512<float> secondY) =>
            TOrder.Add(x, scaleX, y, scaleY, secondX);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Apply(Vector256<float> x, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> y, Vector256<float> scaleY, Vector256<float> secondY) =>
            TOrder.Add(x, scaleX, y, scaleY, secondX);
    }

    private interface IOrder
    {
        static abstract Vector512<float> Add(Vector512<float> x, Vector512<float> ratioX, Vector512<float> y, Vector512<float> ratioY, Vector512<float> constant);

        static abstract Vector256<float> Add(Vector256<float> x, Vector256<float> ratioX, Vector256<float> y, Vector256<float> ratioY, Vector256<float> constant);
    }

    private readonly struct SecondInner : IOrder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Add(Vector512<float> x, Vector512<float> ratioX, Vector512<float> y, Vector512<float> ratioY, Vector512<float> constant) =>
            Vector512.FusedMultiplyAdd(x, ratioX, Vector512.FusedMultiplyAdd(y, ratioY, constant));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Add(Vector256<float> x, Vector256<float> ratioX, Vector256<float> y, Vector256<float> ratioY, Vector256<float> constant) =>
            Vector256.FusedMultiplyAdd(x, ratioX, Vector256.FusedMultiplyAdd(y, ratioY, constant));
    }

    private readonly struct FirstInner : IOrder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Add(Vector512<float> x, Vector512<float> ratioX, Vector512<float> y, Vector512<float> ratioY, Vector512<float> constant) =>
            Vector512.FusedMultiplyAdd(y, ratioY, Vector512.FusedMultiplyAdd(x, ratioX, constant));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Add(Vector256<float> x, Vector256<float> ratioX, Vector256<float> y, Vector256<float> ratioY, Vector256<float> constant) =>
            Vector256.FusedMultiplyAdd(y, ratioY, Vector256.FusedMultiplyAdd(x, ratioX, constant));
    }
}
