using QuantPS.Engine.Observers;

namespace QuantPS.Completion;

/// <summary>Which observers are the per-tensor and per-channel forms of the same thing.</summary>
internal static class ObserverKinds
{
    private static readonly (ObserverKind Tensor, ObserverKind Channel)[] Pairs =
    [
        (ObserverKind.MinMax, ObserverKind.PerChannelMinMax),
        (ObserverKind.MovingAverageMinMax, ObserverKind.MovingAveragePerChannelMinMax),
    ];

    public static bool IsPerChannel(this ObserverKind kind) => Array.Exists(Pairs, p => p.Channel == kind);

    /// <summary>The per-channel (or per-tensor) form; the same observer where there is none.</summary>
    public static ObserverKind Per(this ObserverKind kind, bool channel)
    {
        (ObserverKind Tensor, ObserverKind Channel)[] found = Array.FindAll(Pairs, p => p.Tensor == kind || p.Channel == kind);
        return found.Length == 0 ? kind : channel ? found[0].Channel : found[0].Tensor;
    }
}
