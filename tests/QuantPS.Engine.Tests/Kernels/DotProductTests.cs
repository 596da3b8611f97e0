using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Each instruction set's dot product is exact for every byte with every byte, and adds to what was there.</summary>
public class DotProductTests
{
    [Fact]
    public void Vector128_is_exact() => IsExact<PortableDotProduct>();

    [Fact]
    public void Arm_is_exact_with_the_offset_taken_off() => IsExact<ArmDotProduct>();

    [Fact]
    public void Avx2_is_exact()
    {
        Assert.SkipUnless(CpuFeatures.Current.Avx2, "Needs AVX2.");
        IsExact<Avx2DotProduct>();
    }

    [Fact]
    public void AvxVnni_is_exact()
    {
        Assert.SkipUnless(CpuFeatures.Current.AvxVnni, "Needs AVX-VNNI.");
        IsExact<AvxVnniDotProduct>();
    }

    /// <summary>Alone, and 32 equal products at once: 32 times 255 times 128 is far beyond int16.</summary>
    private static void IsExact<TDot>() where TDot : struct, IDotProduct
    {
        var before = Vector256.Create(1, 20, 300, 4000, -50000, 600000, -7000000, 80000000);
        for (int x = 0; x < 256; x++)
        {
            for (int w = -128; w < 128; w++)
            {
                int expected = (x - TDot.InputOffset) * w;
                for (int at = 0; at < 32; at += 5)
                {
                    Vector256<sbyte> one = Vector256<sbyte>.Zero.WithElement(at, (sbyte)w);
                    Assert.Equal(expected, Vector256.Sum(TDot.MultiplyAdd(default, Vector256.Create((byte)x), one)));
                }
                Assert.Equal(Vector256.Sum(before) + 32 * expected, Vector256.Sum(TDot.MultiplyAdd(before, Vector256.Create((byte)x), Vector256.Create((sbyte)w))));
            }
        }
    }
}
