using System.Runtime.CompilerServices;
using System.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Copies bytes with some of their bits turned: qint8 to quint8 by the sign bit.</summary>
internal static class SignFlip
{
    /// <summary>target[i] = source[i] ^ flip.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Copy(ReadOnlySpan<byte> source, byte flip, Span<byte> target)
    {
        if (flip == 0)
        {
            source.CopyTo(target);
            return;
        }
        Vector<byte> flips = new(flip);
        int i = 0;
        for (; i <= source.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            (new Vector<byte>(source[i..]) ^ flips).CopyTo(target[i..]);
        for (; i < source.Length; i++)
            target[i] = (byte)(source[i] ^ flip);
    }
}
