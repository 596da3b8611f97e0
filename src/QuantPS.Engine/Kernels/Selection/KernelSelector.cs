using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Selection;

/// <summary>Chooses a kernel for a problem: the highest tier that takes it, or the one that QUANTPS_KERNEL forces.</summary>
public static class KernelSelector
{
    /// <summary>The environment variable that forces a tier: reference, vector or generated.</summary>
    public const string ForceVariable = "QUANTPS_KERNEL";

    // Fastest first; the reference takes everything, so it closes the ladder. A line a kernel.
    private static readonly (KernelTier Tier, Func<ConvProblem, ConvKernel?> Make)[] ConvLadder =
    [
        (KernelTier.Reference, p => new ReferenceConv(p)),
    ];

    private static readonly (KernelTier Tier, Func<LinearProblem, LinearKernel?> Make)[] LinearLadder =
    [
        (KernelTier.Reference, p => new ReferenceLinear(p)),
    ];

    public static ConvKernel Select(ConvProblem problem) => Pick(ConvLadder, problem, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

    public static LinearKernel Select(LinearProblem problem) => Pick(LinearLadder, problem, Forced(Environment.GetEnvironmentVariable(ForceVariable)));

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

    private static TKernel Pick<TProblem, TKernel>((KernelTier Tier, Func<TProblem, TKernel?> Make)[] ladder, TProblem problem, KernelTier? forced)
        where TKernel : class
    {
        foreach ((KernelTier tier, Func<TProblem, TKernel?> make) in ladder)
        {
            if ((forced is null || forced == tier) && make(problem) is { } kernel)
                return kernel;
        }
        throw new QuantException(ErrorIds.InvalidForcedKernel, $"{ForceVariable} forces the {forced.ToString()!.ToLowerInvariant()} kernels, but none of them takes this layer on this CPU. Unset it to let the module choose.", forced);
    }
}
