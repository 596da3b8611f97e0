namespace QuantPS.Onnx.Runtime;

/// <summary>One instruction of a plan: values in, values out.</summary>
internal abstract class PlanStep : IDisposable
{
    /// <summary>Names of the values it reads, each once.</summary>
    public abstract IReadOnlyList<string> Inputs { get; }

    /// <summary>Names of the values it makes.</summary>
    public abstract IReadOnlyList<string> Outputs { get; }

    /// <param name="inputs">In the order of <see cref="Inputs"/>.</param>
    /// <param name="outputs">To be filled in the order of <see cref="Outputs"/>.</param>
    public abstract void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs);

    /// <summary>The same where some inputs' memory may be written over.</summary>
    /// <param name="spent">Bit i is set when nobody needs input i's memory any more.</param>
    public virtual void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent) => Run(inputs, outputs);

    /// <summary>No result has an input's memory or another result's.</summary>
    public virtual bool MakesNew => false;

    /// <summary>What it does, for people.</summary>
    public virtual string Description => $"{GetType().Name} -> {string.Join(", ", Outputs)}";

    /// <summary>The nodes that it runs, each with what runs it; of a model that came quantized.</summary>
    public virtual IEnumerable<PlanLayer> Layers => [];

    public virtual void Dispose()
    {
    }
}
