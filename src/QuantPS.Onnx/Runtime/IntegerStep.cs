using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;

namespace QuantPS.Onnx.Runtime;

/// <summary>A node that the model itself writes in integers.</summary>
internal sealed class IntegerStep : PlanStep
{
    private readonly IntegerKernel kernel;
    private readonly string[] names, results;
    private readonly GraphValue?[] constants;

    /// <param name="node">The node.</param>
    /// <param name="kernel">The node made ready to run.</param>
    /// <param name="constant">The constant behind a value, or null.</param>
    public IntegerStep(NodeProto node, IntegerKernel kernel, Func<string, GraphValue?> constant)
    {
        this.kernel = kernel;
        names = [.. node.Input];
        results = [.. node.Output];
        constants = [.. names.Select(n => n.Length == 0 ? null : constant(n))];
        Inputs = [.. names.Where((n, i) => n.Length > 0 && constants[i] is null).Distinct()];
        Outputs = [.. results.Where(r => r.Length > 0)];
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override void Run(Dictionary<string, GraphValue> values)
    {
        var inputs = new GraphValue?[names.Length];
        for (int i = 0; i < inputs.Length; i++)
            inputs[i] = constants[i] ?? (names[i].Length == 0 ? null : values[names[i]]);
        GraphValue[] made = kernel(inputs);
        for (int i = 0; i < results.Length; i++)
        {
            if (results[i].Length > 0)
                values[results[i]] = made[i];
        }
    }
}
