using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels.Selection;

/// <summary>Chooses a kernel for a problem: the highest tier that takes it, or the one that QUANTPS_KERNEL forces.</summary>
public static class KernelSelector
{
    /// <summary>The environment variable that forces a tier: reference, vector or generated.</summary>
    public const string ForceVariable = "QUANTPS_KERNEL";

    // Fastest first; the reference takes everything, so it closes the ladder. A line a kernel.
    internal static readonly (KernelTier Tier, Func<CpuFeatures, bool> Runs, Func<ConvProblem, ConvKernel?> Make)[] ConvLadder =
    [
        (KernelTier.Generated, cpu => cpu.Avx512Vnni && cpu.Avx2Code, p => WinogradConv.TryCreate(p, WinogradTarget.Avx512Vnni)),
        (KernelTier.Generated, cpu => cpu.Avx512Vnni, GeneratedConv.TryCreate),
        (KernelTier.Generated, cpu => cpu.Avx512Vnni, GeneratedDepthwise.TryCreate),
        (KernelTier.Generated, cpu => cpu.Avx512Vnni, p => RepeatedDepthwise.TryCreate(p, GeneratedDepthwise.TryCreate)),
        (KernelTier.Generated, cpu => cpu.Avx2Code, p => WinogradConv.TryCreate(p, WinogradTarget.Avx2)),
        (KernelTier.Generated, cpu => cpu.Avx2Code, GeneratedConv256.TryCreate),
        (KernelTier.Generated, cpu => cpu.Avx2Code, GeneratedDepthwise256.TryCreate),
        (KernelTier.Generated, cpu => cpu.Avx2Code, p => RepeatedDepthwise.TryCreate(p, GeneratedDepthwise256.TryCreate)),
        (KernelTier.Vector, cpu => cpu.Vector128, VectorDepthwise.TryCreate),
        (KernelTier.Vector, cpu => cpu.Vector128, p => RepeatedDepthwise.TryCreate(p, VectorDepthwise.TryCreate)),
        (KernelTier.Vector, cpu => cpu.AvxVnni, VectorConv<AvxVnniDotProduct>.TryCreate),
        (KernelTier.Vector, cpu => cpu.Avx2, VectorConv<Avx2DotProduct>.TryCreate),
        (KernelTier.Vector, cpu => cpu.ArmDp, VectorConv<ArmDotProduct>.TryCreate),
        (KernelTier.Vector, cpu => cpu.Vector128, VectorConv<PortableDotProduct>.TryCreate),
        (KernelTier.Reference, _ => true, p => new ReferenceConv(p)),
    ];

    internal static readonly (KernelTier Tier, Func<CpuFeatures, bool> Runs, Func<LinearProblem, LinearKernel?> Make)[] LinearLadder =
    [
        (KernelTier.Generated, cpu => cpu.Avx512Vnni, p => GeneratedLinear.TryCreate(p, GeneratedConv.TryCreate)),
        (KernelTier.Generated, cpu => cpu.Avx2Code, p => GeneratedLinear.TryCreate(p, GeneratedConv256.TryCreate)),
        (KernelTier.Vector, cpu => cpu.AvxVnni, p => new VectorLinear<AvxVnniDotProduct>(p)),
        (KernelTier.Vector, cpu => cpu.Avx2, p => new VectorLinear<Avx2DotProduct>(p)),
        (KernelTier.Vector, cpu => cpu.ArmDp, p => new VectorLinear<ArmDotProduct>(p)),
        (KernelTier.Vector, cpu => cpu.Vector128, p => new VectorLinear<PortableDotProduct>(p)),
        (KernelTier.Reference, _ => true, p => new ReferenceLinear(p)),
    ];

    internal static readonly (KernelTier Tier, Func<CpuFeatures, bool> Runs, Func<MatMulProblem, MatMulKernel?> Make)[] MatMulLadder =
    [
        (KernelTier.Vector, cpu => cpu.Avx512Vnni, p => new VectorMatMul<PairTile512>(p)),
        (KernelTier.Vector, cpu => cpu.AvxVnni, p => new VectorMatMul<PairTile256<AvxVnniPairs>>(p)),
        (KernelTier.Vector, cpu => cpu.Avx2, p => new VectorMatMul<PairTile256<Avx2Pairs>>(p)),
        (KernelTier.Vector, cpu => cpu.Vector128, p => new VectorMatMul<PairTile256<PortablePairs>>(p)),
        (KernelTier.Reference, _ => true, p => new ReferenceMatMul(p)),
    ];

    public static ConvKernel Select(ConvProblem problem) => Select(problem, CpuFeatures.Current, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

    public static LinearKernel Select(LinearProblem problem) => Select(problem, CpuFeatures.Current, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

    public static MatMulKernel Select(MatMulProblem problem) => Select(problem, CpuFeatures.Current, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

    /// <summary>Says at once what choosing a kernel would say later.</summary>
    /// <exception cref="QuantException">InvalidForcedKernel.</exception>
    internal static void CheckForced() => Forced(Environment.GetEnvironmentVariable(ForceVariable));

    /// <summary>The choice as a function of the problem, the CPU and what is forced. A forced tier that has no kernel for the problem hands it down the ladder.</summary>
    internal static ConvKernel Select(ConvProblem problem, CpuFeatures cpu, KernelTier? forced) => problem.Geometry.SpatialRank == 1
        ? new LineConv(Pick(ConvLadder, LineConv.ImageOf(problem), cpu, forced))
        : Pick(ConvLadder, problem, cpu, forced);

    internal static LinearKernel Select(LinearProblem problem, CpuFeatures cpu, KernelTier? forced) => Pick(LinearLadder, problem, cpu, forced);

    internal static MatMulKernel Select(MatMulProblem problem, CpuFeatures cpu, KernelTier? forced) => Pick(MatMulLadder, problem, cpu, forced);

    /// <summary>Whether kernels that are chosen call by call (quantizing, adding, pooling, tables, layouts) take vectors: not where the reference is forced.</summary>
    /// <exception cref="QuantException">InvalidForcedKernel.</exception>
    internal static bool UsesVectors => UsesVectorsOn(CpuFeatures.Current, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

    internal static bool UsesVectorsOn(CpuFeatures cpu, KernelTier? forced) => cpu.Vector128 && forced != KernelTier.Reference;

    /// <summary>The tier that a value of the variable names; null for none.</summary>
    /// <exception cref="QuantException">InvalidForcedKernel: it names no tier.</exception>
    internal static KernelTier? Forced(string? value)
    {
        if (string.IsNullOrWhiteSpace(value))
            return null;
        return Enum.TryParse(value.Trim(), ignoreCase: true, out KernelTier tier) && Enum.IsDefined(tier)
            ? tier
            : throw new QuantException(ErrorIds.InvalidForcedKernel, $"{ForceVariable} is '{value}'. Set it to reference, vector or generated, or unset it.", value);
    }

    private static TKernel Pick<TProblem, TKernel>((KernelTier Tier, Func<CpuFeatures, bool> Runs, Func<TProblem, TKernel?> Make)[] ladder, TProblem problem, CpuFeatures cpu, KernelTier? forced)
        where TKernel : class
    {
        foreach ((KernelTier tier, Func<CpuFeatures, bool> runs, Func<TProblem, TKernel?> make) in ladder)
        {
            if (tier <= (forced ?? KernelTier.Generated) && runs(cpu) && make(problem) is { } kernel)
                return kernel;
        }
        throw new InvalidOperationException("The ladder ends with the reference kernel, which takes every problem.");
    }
}
