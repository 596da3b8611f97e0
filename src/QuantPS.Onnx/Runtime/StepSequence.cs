using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Runtime;

/// <summary>The steps of a plan in their order. Values are dropped as soon as nothing needs them.</summary>
internal sealed class StepSequence : IDisposable
{
    private readonly IReadOnlyList<PlanStep> steps;
    private readonly Dictionary<string, int> lastUse = new(StringComparer.Ordinal);

    /// <param name="steps">The steps; disposed with the sequence.</param>
    /// <param name="outputs">Values to keep to the end.</param>
    public StepSequence(IReadOnlyList<PlanStep> steps, IEnumerable<string> outputs)
    {
        this.steps = steps;
        for (int i = 0; i < steps.Count; i++)
        {
            foreach (string value in steps[i].Inputs.Concat(steps[i].Outputs))
                lastUse[value] = i;
        }
        foreach (string output in outputs)
            lastUse[output] = int.MaxValue;
    }

    public int FloatIslandCount => steps.Count(s => s is FloatIsland or DequantizedStep);

    /// <summary>Runs the steps on the inputs, which are in <paramref name="values"/>; afterwards the outputs are there too.</summary>
    /// <param name="values">The caller disposes what is left in it, also after an error.</param>
    /// <param name="made">Called for every value that a step made.</param>
    /// <param name="pool">Gets the memory of values that nothing needs any more; null where somebody may still hold them.</param>
    public void Run(Dictionary<string, GraphValue> values, Action<string>? made = null, ActivationPool? pool = null)
    {
        for (int i = 0; i < steps.Count; i++)
        {
            steps[i].Run(values);
            foreach (string output in steps[i].Outputs)
                made?.Invoke(output);
            foreach (string value in steps[i].Inputs.Concat(steps[i].Outputs))
            {
                if (lastUse[value] != i || !values.Remove(value, out GraphValue? done))
                    continue;
                // A reshaped value is the same memory under another name.
                if (pool is not null && done.IntegersIfAny is { } tensor && !values.Values.Any(v => v.IntegersIfAny is { } other && ActivationPool.AreOne(tensor, other)))
                    pool.Return(tensor);
                done.Dispose();
            }
        }
    }

    public void Dispose()
    {
        foreach (PlanStep step in steps)
            step.Dispose();
    }
}
