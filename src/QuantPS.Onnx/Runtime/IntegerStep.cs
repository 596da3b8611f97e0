using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;

namespace QuantPS.Onnx.Runtime;

/// <summary>A node that the model itself writes in integers.</summary>
internal sealed class IntegerStep : PlanStep
{
    private readonly IntegerKernel kernel;
    private readonly string name, opType;
    private readonly GraphValue?[] constants;
    // Where a computed input is among the step's inputs, and a result among its outputs; -1 for any other.
    private readonly int[] computed, kept;

    /// <param name="node">The node.</param>
    /// <param name="kernel">The node made ready to run.</param>
    /// <param name="constant">The constant behind a value, or null.</param>
    public IntegerStep(NodeProto node, IntegerKernel kernel, Func<string, GraphValue?> constant)
    {
        this.kernel = kernel;
        (name, opType) = (GraphIndex.DisplayName(node), node.OpType);
        string[] names = [.. node.Input], results = [.. node.Output];
        constants = [.. names.Select(n => n.Length == 0 ? null : constant(n))];
        Inputs = [.. names.Where((n, i) => n.Length > 0 && constants[i] is null).Distinct()];
        Outputs = [.. results.Where(r => r.Length > 0)];
        computed = [.. names.Select((n, i) => constants[i] is null && n.Length > 0 ? Array.IndexOf([.. Inputs], n) : -1)];
        kept = [.. results.Select(r => r.Length > 0 ? Array.IndexOf([.. Outputs], r) : -1)];
    }

    public override IEnumerable<PlanLayer> Layers => [new PlanLayer(name, opType, () => PlanLayer.Integers, IsInteger: true)];

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        var all = new GraphValue?[constants.Length];
        for (int i = 0; i < all.Length; i++)
            all[i] = computed[i] >= 0 ? inputs[computed[i]] : constants[i];
        GraphValue[] made = kernel(all);
        for (int i = 0; i < kept.Length; i++)
        {
            if (kept[i] >= 0)
                outputs[kept[i]] = made[i];
        }
    }
}
