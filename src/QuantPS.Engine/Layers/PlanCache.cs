using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>A layer's plan for the input parameters it was made for, and for those of the last input that had others.</summary>
/// <remarks>As in PyTorch a tensor's own scale and zero point count; they nearly always are the layer's. Safe from any thread: a plan may be made
/// twice, never mixed up.</remarks>
internal sealed class PlanCache<TPlan>(QParams own, Func<QParams, TPlan> make) where TPlan : class
{
    private Entry? last;

    /// <summary>The plan for the layer's own input parameters.</summary>
    public TPlan Own { get; } = make(own);

    public TPlan For(QParams input)
    {
        if (Same(input, own))
            return Own;
        Entry? entry = last;
        if (entry is null || !Same(input, entry.Input))
            last = entry = new Entry(input, make(input));
        return entry.Plan;
    }

    private static bool Same(QParams a, QParams b) => a.DType == b.DType && a.Scales[0] == b.Scales[0] && a.ZeroPoints[0] == b.ZeroPoints[0];

    private sealed record Entry(QParams Input, TPlan Plan);
}
