using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Selection;

/// <summary>What this CPU can do for us. The only place that asks; DOTNET_Enable* variables switch things off here as everywhere in .NET.</summary>
/// <param name="AvxVnni">VPDPBUSD on 256 bits: four 8-bit products added to an int32, without saturation.</param>
/// <param name="Avx2">256-bit integers.</param>
/// <param name="Vector128">Any 128-bit vectors (SSE2, Arm64 NEON).</param>
public readonly record struct CpuFeatures(bool AvxVnni, bool Avx2, bool Vector128)
{
    /// <summary>The CPU that this process runs on.</summary>
    public static CpuFeatures Current { get; } = new(
        System.Runtime.Intrinsics.X86.AvxVnni.IsSupported,
        System.Runtime.Intrinsics.X86.Avx2.IsSupported,
        System.Runtime.Intrinsics.Vector128.IsHardwareAccelerated);
}
