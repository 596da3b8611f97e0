using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>float32 to integers, four vectors of floats to one of bytes. qint32 by eight; other dtypes, and rare defects, go to the reference.</summary>
internal static class VectorQuantize
{
    // In floats.
    private const int Ahead = 1024;

    /// <param name="x">Real values.</param>
    /// <param name="y">As many integers.</param>
    /// <param name="rule">8 bits.</param>
    public static void Run(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule)
    {
        if (rule.Compat == QuantizeCompat.None && rule.Divides && OnnxSteps.Suits(rule))
            Run<OnnxSteps>(x, y, rule);
        else if (rule.Compat == QuantizeCompat.None && rule.Divides)
            Run<DividingSteps>(x, y, rule);
        else if (rule.Compat == QuantizeCompat.None)
            Run<TorchSteps>(x, y, rule);
        else if (rule.Compat == QuantizeCompat.Torch2PerTensor)
            Run<WrappingSteps>(x, y, rule);
        else
            ReferenceQuantize.Run(x, y, rule);
    }

    /// <summary>To qint32. The sum with the zero point is a float32 sum, as in the scalar rule.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<float> x, Span<int> y, in QuantizeRule rule)
    {
        if (rule.Compat != QuantizeCompat.None)
        {
            ReferenceQuantize.Run(x, y, rule);
            return;
        }
        int i = 0;
        Vector256<float> factor = Vector256.Create(rule.Divides ? rule.Scale : rule.Inverse), zero = Vector256.Create((float)rule.ZeroPoint);
        for (; i <= x.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            Vector256<float> v = Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(x), (nuint)i);
            v = Vector256.Round(rule.Divides ? v / factor : v * factor) + zero;
            // .NET's conversion saturates; only NaN, which it makes 0, is the minimum here.
            Vector256<int> q = Vector256.ConditionalSelect(Vector256.Equals(v, v).AsInt32(), Vector256.ConvertToInt32(v), Vector256.Create(int.MinValue));
            q.StoreUnsafe(ref MemoryMarshal.GetReference(y), (nuint)i);
        }
        ReferenceQuantize.Run(x[i..], y[i..], rule);
    }

    [SkipLocalsInit]
    private static void Run<TSteps>(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule) where TSteps : IQuantizeSteps
    {
        int i = Vector512.IsHardwareAccelerated ? Run512<TSteps>(x, y, rule) : Run256<TSteps>(x, y, rule);
        if (i == x.Length)
            return;
        Span<float> restX = stackalloc float[Lanes.Wide];
        Span<byte> restY = stackalloc byte[Lanes.Wide];
        x[i..].CopyTo(restX);
        Run<TSteps>(restX, restY, rule);
        restY[..(x.Length - i)].CopyTo(y[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run512<TSteps>(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule) where TSteps : IQuantizeSteps
    {
        ref float from = ref MemoryMarshal.GetReference(x);
        ref byte to = ref MemoryMarshal.GetReference(y);
        Vector512<float> factor = Vector512.Create(TSteps.Factor(rule)), inverse = Vector512.Create(rule.Inverse);
        Vector512<int> zeroPoint = Vector512.Create(rule.ZeroPoint);
        var zero = new OutputZero(rule.ZeroPoint, rule.Min < 0);
        int i = 0;
        for (; i <= x.Length - Lanes.Wide; i += Lanes.Wide)
        {
            Prefetch(ref Unsafe.Add(ref from, i + Ahead));
            Vector512<int> a = TSteps.Steps(Vector512.LoadUnsafe(ref from, (nuint)i), factor, inverse, zeroPoint);
            Vector512<int> b = TSteps.Steps(Vector512.LoadUnsafe(ref from, (nuint)i + 16), factor, inverse, zeroPoint);
            Vector512<int> c = TSteps.Steps(Vector512.LoadUnsafe(ref from, (nuint)i + 32), factor, inverse, zeroPoint);
            Vector512<int> d = TSteps.Steps(Vector512.LoadUnsafe(ref from, (nuint)i + 48), factor, inverse, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    /// <summary>The four cache lines of a block to come: from memory, floats arrive more slowly than they are quantized.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe void Prefetch(ref float block)
    {
        void* p = Unsafe.AsPointer(ref block);
        Sse.Prefetch0(p);
        Sse.Prefetch0((byte*)p + 64);
        Sse.Prefetch0((byte*)p + 128);
        Sse.Prefetch0((byte*)p + 192);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256<TSteps>(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule) where TSteps : IQuantizeSteps
    {
        ref float from = ref MemoryMarshal.GetReference(x);
        ref byte to = ref MemoryMarshal.GetReference(y);
        Vector256<float> factor = Vector256.Create(TSteps.Factor(rule)), inverse = Vector256.Create(rule.Inverse);
        Vector256<int> zeroPoint = Vector256.Create(rule.ZeroPoint);
        var zero = new OutputZero(rule.ZeroPoint, rule.Min < 0);
        int i = 0;
        for (; i <= x.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            (Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d) = QuantizeSteps.Four<TSteps>(
                Vector256.LoadUnsafe(ref from, (nuint)i), Vector256.LoadUnsafe(ref from, (nuint)i + 8), Vector256.LoadUnsafe(ref from, (nuint)i + 16), Vector256.LoadUnsafe(ref from, (nuint)i + 24),
                factor, inverse, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }
}
