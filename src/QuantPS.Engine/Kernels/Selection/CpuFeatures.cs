using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Selection;

/// <summary>What this CPU can do for us. The only place that asks; DOTNET_Enable* variables switch things off here as everywhere in .NET.</summary>
/// <param name="Avx512Vnni">VPDPBUSD on 512 bits, which .NET has no API for: machine code assembled at run time uses it. False where AVX-512 is switched off.</param>
/// <param name="AvxVnni">VPDPBUSD on 256 bits: four 8-bit products added to an int32, without saturation.</param>
/// <param name="Avx2">256-bit integers.</param>
/// <param name="Vector128">Any 128-bit vectors (SSE2, Arm64 NEON).</param>
/// <param name="ArmDp">SDOT of Arm64: four signed 8-bit products added to an int32.</param>
/// <param name="Avx2Code">AVX2 and FMA in a 64-bit process: machine code assembled at run time may use them.</param>
public readonly record struct CpuFeatures(bool Avx512Vnni, bool AvxVnni, bool Avx2, bool Vector128, bool ArmDp = false, bool Avx2Code = false)
{
    /// <summary>The CPU that this process runs on.</summary>
    public static CpuFeatures Current { get; } = new(
        HasAvx512Vnni(),
        System.Runtime.Intrinsics.X86.AvxVnni.IsSupported,
        System.Runtime.Intrinsics.X86.Avx2.IsSupported,
        System.Runtime.Intrinsics.Vector128.IsHardwareAccelerated,
        Dp.IsSupported,
        X86Base.X64.IsSupported && System.Runtime.Intrinsics.X86.Avx2.IsSupported && Fma.IsSupported);

    /// <summary>CPUID leaf 7, ECX bit 11; and .NET's own word for it that AVX-512 (F, BW, VL) is there, enabled by the system, and not switched off.</summary>
    private static bool HasAvx512Vnni() =>
        X86Base.X64.IsSupported && Avx512F.IsSupported && Avx512BW.IsSupported && Avx512F.VL.IsSupported && (X86Base.CpuId(7, 0).Ecx & (1 << 11)) != 0;
}
