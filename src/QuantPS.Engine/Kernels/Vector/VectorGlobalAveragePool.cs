using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Global average pooling: channels-last by columns of 64 or 32 channels, planes by sums of absolute differences to 0; the means 64 or 32 at a time.</summary>
internal static class VectorGlobalAveragePool
{
    private const int Exact = 256;

    // Loaded at an offset n from its middle, it keeps the first 64 - n bytes, or as many of 32.
    private static readonly byte[] KeepFirst = [.. Enumerable.Repeat((byte)0xFF, 64), .. new byte[64]];

    /// <param name="x">Pixels of an image.</param>
    /// <param name="y">Receives the means of the channels from <paramref name="first"/> on.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="first">First channel.</param>
    /// <param name="rule">The arithmetic.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pixels(ReadOnlySpan<byte> x, Span<byte> y, int channels, int first, in GlobalAverageRule rule)
    {
        Span<int> sums = stackalloc int[Lanes.Wide];
        byte flip = rule.Signed ? (byte)0x80 : (byte)0;
        // A cache line, whatever the vectors.
        int width = channels >= Lanes.Wide ? Lanes.Wide : Lanes.Narrow;
        for (int i = 0; i < y.Length; i += width)
        {
            // The last block starts earlier, so that it ends with the channels; its first sums were made before.
            int count = Math.Min(width, y.Length - i), c = Math.Max(0, Math.Min(first + i, channels - width));
            if (channels >= width)
                Columns(ref Unsafe.Add(ref MemoryMarshal.GetReference(x), c), channels, rule.Area, flip, sums[..width]);
            else
                Narrow(x, channels, rule.Area, flip, sums);
            Means(sums.Slice(first + i - c, count), y.Slice(i, count), rule);
        }
    }

    /// <param name="x">Planes, as many as there are means.</param>
    /// <param name="y">Receives the means.</param>
    /// <param name="rule">The arithmetic.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Planes(ReadOnlySpan<byte> x, Span<byte> y, in GlobalAverageRule rule)
    {
        Span<int> sums = stackalloc int[Lanes.Wide];
        for (int i = 0; i < y.Length; i += Lanes.Wide)
        {
            int count = Math.Min(Lanes.Wide, y.Length - i);
            for (int p = 0; p < count; p++)
                sums[p] = Sum(x, (i + p) * rule.Area, rule.Area, rule.Signed);
            Means(sums[..count], y.Slice(i, count), rule);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Columns(ref byte x, int step, int count, byte flip, Span<int> sums)
    {
        ref int to = ref MemoryMarshal.GetReference(sums);
        if (sums.Length == Lanes.Wide && Vector512.IsHardwareAccelerated)
        {
            ByteSums512 wide = default;
            for (int i = 0; i < count; i += Exact)
                wide.Add(ref Unsafe.Add(ref x, i * step), step, Math.Min(Exact, count - i), flip);
            wide.A.StoreUnsafe(ref to);
            wide.B.StoreUnsafe(ref to, 16);
            wide.C.StoreUnsafe(ref to, 32);
            wide.D.StoreUnsafe(ref to, 48);
            return;
        }
        ByteSums256 narrow = default;
        if (sums.Length == Lanes.Wide)
        {
            ByteSums256 behind = default;
            for (int i = 0; i < count; i += Exact)
                narrow.Add(ref Unsafe.Add(ref x, i * step), step, Math.Min(Exact, count - i), flip, ref behind);
            behind.CopyTo(ref Unsafe.Add(ref to, Lanes.Narrow));
        }
        else
        {
            for (int i = 0; i < count; i += Exact)
                narrow.Add(ref Unsafe.Add(ref x, i * step), step, Math.Min(Exact, count - i), flip);
        }
        narrow.CopyTo(ref to);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow(ReadOnlySpan<byte> x, int channels, int area, byte flip, Span<int> sums)
    {
        sums.Clear();
        for (int p = 0; p < area; p++)
            for (int c = 0; c < channels; c++)
                sums[c] += x[p * channels + c] ^ flip;
    }

    /// <summary>The sum of some bytes, flipped if they are qint8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Sum(ReadOnlySpan<byte> x, int start, int length, bool signed)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        byte flip = signed ? (byte)0x80 : (byte)0;
        int i = 0, sum = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<ulong> sums = default;
            Vector512<byte> f = Vector512.Create(flip);
            for (; i < length && start + i + 64 <= x.Length; i += 64)
            {
                Vector512<byte> v = Vector512.LoadUnsafe(ref from, (nuint)(start + i)) ^ f;
                if (length - i < 64)
                    v &= Vector512.LoadUnsafe(ref KeepFirst[64 - (length - i)]);
                sums += Avx512BW.SumAbsoluteDifferences(v, default).AsUInt64();
            }
            sum = unchecked((int)Vector512.Sum(sums));
        }
        else if (Avx2.IsSupported)
        {
            Vector256<ulong> sums = default;
            Vector256<byte> f = Vector256.Create(flip);
            for (; i < length && start + i + 32 <= x.Length; i += 32)
            {
                Vector256<byte> v = Vector256.LoadUnsafe(ref from, (nuint)(start + i)) ^ f;
                if (length - i < 32)
                    v &= Vector256.LoadUnsafe(ref KeepFirst[64 - (length - i)]);
                sums += Avx2.SumAbsoluteDifferences(v, default).AsUInt64();
            }
            sum = unchecked((int)Vector256.Sum(sums));
        }
        for (; i < length; i++)
            sum += x[start + i] ^ flip;
        return sum;
    }

    private static void Means(ReadOnlySpan<int> sums, Span<byte> y, in GlobalAverageRule rule)
    {
        if (rule.Output.Compat == QuantizeCompat.None && rule.Output.Divides)
            Means<DividingSteps>(sums, y, rule);
        else if (rule.Output.Compat == QuantizeCompat.None)
            Means<TorchSteps>(sums, y, rule);
        else
            Means<WrappingSteps>(sums, y, rule);
    }

    /// <summary>Whole blocks even if there are fewer means: the sums lie in a block.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Means<TSteps>(ReadOnlySpan<int> sums, Span<byte> y, in GlobalAverageRule rule) where TSteps : IQuantizeSteps
    {
        int offset = unchecked(-rule.Area * (rule.ZeroPoint + (rule.Signed ? 128 : 0)));
        Span<int> block = stackalloc int[Lanes.Wide];
        Span<byte> bytes = stackalloc byte[Lanes.Wide];
        sums.CopyTo(block);
        ref int from = ref MemoryMarshal.GetReference(block);
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0);
        for (int i = 0; i < y.Length; i += Lanes.Narrow)
        {
            nuint at = (nuint)i;
            Vector256<int> a = Steps(Vector256.LoadUnsafe(ref from, at), offset, rule), b = Steps(Vector256.LoadUnsafe(ref from, at + 8), offset, rule);
            Vector256<int> c = Steps(Vector256.LoadUnsafe(ref from, at + 16), offset, rule), d = Steps(Vector256.LoadUnsafe(ref from, at + 24), offset, rule);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref MemoryMarshal.GetReference(bytes), at);
        }
        bytes[..y.Length].CopyTo(y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<int> Steps(Vector256<int> sum, int offset, in GlobalAverageRule rule)
        {
            Vector256<float> mean = Vector256.ConvertToSingle(sum + Vector256.Create(offset)) * rule.Scale / Vector256.Create(rule.Divisor);
            return TSteps.Steps(mean, Vector256.Create(TSteps.Factor(rule.Output)), Vector256.Create(rule.Output.Inverse), Vector256.Create(rule.Output.ZeroPoint));
        }
    }
}
