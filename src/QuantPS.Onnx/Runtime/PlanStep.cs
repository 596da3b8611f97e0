namespace QuantPS.Onnx.Runtime;

/// <summary>One instruction of a plan: values in, values out.</summary>
internal abstract class PlanStep : IDisposable
{
    /// <summary>Names of the values it reads.</summary>
    public abstract IReadOnlyList<string> Inputs { get; }

    /// <summary>Names of the values it makes.</summary>
    public abstract IReadOnlyList<string> Outputs { get; }

    public abstract void Run(Dictionary<string, GraphValue> values);

    public virtual void Dispose()
    {
    }
}
