namespace QuantPS.Onnx.Runtime;

/// <summary>What makes one step of several, a line each, in the order in which they are tried.</summary>
internal static class StepFusion
{
    private static readonly Func<IReadOnlyList<PlanStep>, IReadOnlyCollection<string>, IReadOnlyList<PlanStep>>[] All =
    [
        ResidualStep.Fuse,
        ChannelPickStep.Fuse,
    ];

    /// <summary>The steps of a plan, with such in the place of those that they do. These stay the same objects, for whoever disposes them.</summary>
    /// <param name="steps">In running order.</param>
    /// <param name="kept">Values that have to be there afterwards.</param>
    public static IReadOnlyList<PlanStep> Apply(IReadOnlyList<PlanStep> steps, IReadOnlyCollection<string> kept) =>
        All.Aggregate(steps, (done, fuse) => fuse(done, kept));
}
