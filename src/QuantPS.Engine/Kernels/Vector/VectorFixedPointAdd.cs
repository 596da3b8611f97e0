using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Integers-only additions in lanes of int32, 64 or 32 sums at a time.</summary>
internal static class VectorFixedPointAdd
{
    /// <inheritdoc cref="ReferenceFixedPointAdd.Run"/>
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in FixedPointAddRule rule)
    {
        // A single integer beside many is XNNPACK's broadcasting, and a shift beyond 31 an accident: both are rare.
        int i = x.Length != z.Length || y.Length != z.Length || rule.Shift > 31 ? 0
            : rule.Signed ? Run<SignedBytes>(x, y, z, rule) : Run<UnsignedBytes>(x, y, z, rule);
        if (i < z.Length)
            ReferenceFixedPointAdd.Run(x.Length == 1 ? x : x[i..], y.Length == 1 ? y : y[i..], z[i..], rule);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run<TByte>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in FixedPointAddRule rule) where TByte : IByteKind
    {
        ref byte from = ref MemoryMarshal.GetReference(x), and = ref MemoryMarshal.GetReference(y), to = ref MemoryMarshal.GetReference(z);
        var zero = new OutputZero(rule.ZeroPoint, rule.Signed, rule.Low == rule.ZeroPoint);
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Wide sums = new(rule);
            for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
            {
                ref byte p = ref Unsafe.Add(ref from, i), q = ref Unsafe.Add(ref and, i);
                Lanes.Pack(sums.Apply<TByte>(ref p, ref q), sums.Apply<TByte>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16)),
                    sums.Apply<TByte>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32)), sums.Apply<TByte>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48)), zero)
                    .StoreUnsafe(ref to, (nuint)i);
            }
        }
        Narrow eight = new(rule);
        for (; i <= z.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            ref byte p = ref Unsafe.Add(ref from, i), q = ref Unsafe.Add(ref and, i);
            Lanes.Pack(eight.Apply<TByte>(ref p, ref q), eight.Apply<TByte>(ref Unsafe.Add(ref p, 8), ref Unsafe.Add(ref q, 8)),
                eight.Apply<TByte>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16)), eight.Apply<TByte>(ref Unsafe.Add(ref p, 24), ref Unsafe.Add(ref q, 24)), zero)
                .StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    private readonly struct Wide(FixedPointAddRule rule)
    {
        private readonly int shift = rule.Shift, mask = rule.Signed ? 0 : (int)((1u << rule.Shift) - 1), half = rule.Signed ? 1 << (rule.Shift - 1) : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<int> Apply<TByte>(ref byte x, ref byte y) where TByte : IByteKind
        {
            Vector512<int> sum = Vector512.Create(rule.Bias) + TByte.Widen512(ref x) * rule.MultiplierX + TByte.Widen512(ref y) * rule.MultiplierY;
            Vector512<int> quotient = Vector512.ShiftRightArithmetic(sum + Vector512.Create(half), shift);
            if (!rule.Signed)
            {
                // A comparison gives -1 where it holds.
                Vector512<int> remainder = (sum & Vector512.Create(mask)) + Vector512.LessThan(sum, default);
                quotient -= Vector512.GreaterThan(remainder, Vector512.Create(mask >> 1));
            }
            return quotient;
        }
    }

    private readonly struct Narrow(FixedPointAddRule rule)
    {
        private readonly int shift = rule.Shift, mask = rule.Signed ? 0 : (int)((1u << rule.Shift) - 1), half = rule.Signed ? 1 << (rule.Shift - 1) : 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<int> Apply<TByte>(ref byte x, ref byte y) where TByte : IByteKind
        {
            Vector256<int> sum = Vector256.Create(rule.Bias) + TByte.Widen256(ref x) * rule.MultiplierX + TByte.Widen256(ref y) * rule.MultiplierY;
            Vector256<int> quotient = Vector256.ShiftRightArithmetic(sum + Vector256.Create(half), shift);
            if (!rule.Signed)
            {
                Vector256<int> remainder = (sum & Vector256.Create(mask)) + Vector256.LessThan(sum, default);
                quotient -= Vector256.GreaterThan(remainder, Vector256.Create(mask >> 1));
            }
            return quotient;
        }
    }
}
