using QuantPS.Engine.Layers;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime;

/// <summary>A convolution and the sum of its result with another branch, in one go: the end of a residual block.</summary>
internal sealed class ResidualStep : PlanStep
{
    private readonly LayerStep conv, add;
    private readonly QuantizedConv layer;
    private readonly QuantizedAdd sum;
    private readonly int other;

    private ResidualStep(LayerStep conv, LayerStep add, QuantizedAdd sum, int other)
    {
        this.conv = conv;
        this.add = add;
        this.sum = sum;
        this.other = other;
        layer = (QuantizedConv)conv.Layer!;
        Inputs = [conv.OperandName(0)!, .. new[] { add.OperandName(other)! }.Except([conv.OperandName(0)!])];
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs => add.Outputs;

    /// <summary>The convolution.</summary>
    public LayerStep Conv => conv;

    /// <summary>The sum.</summary>
    public LayerStep Add => add;

    public override string Description => $"{conv.Description} + {add.Description}";

    public override IEnumerable<PlanLayer> Layers =>
        [.. conv.Layers, .. add.Layers.Select(l => l with { Kernel = () => $"with {conv.Layers.First().Name}" })];

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => Run(inputs, outputs, 0);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent) =>
        outputs[0] = add.Made(layer.RunAndAdd(conv.Read(0, inputs[0]), add.Read(other, inputs[^1]), sum, inputs.Length > 1 && (spent & 2) != 0, otherIsFirst: other == 0));

    /// <summary>Puts such pairs in the place of their sums. The steps that became part of one are the same objects, for whoever disposes them.</summary>
    /// <param name="steps">In running order.</param>
    /// <param name="kept">Values that have to be there afterwards.</param>
    public static IReadOnlyList<PlanStep> Fuse(IReadOnlyList<PlanStep> steps, IReadOnlyCollection<string> kept)
    {
        HashSet<string> outputs = new(kept, StringComparer.Ordinal);
        Dictionary<string, int> uses = steps.SelectMany(s => s.Inputs).CountBy(v => v).ToDictionary(StringComparer.Ordinal);
        Dictionary<string, LayerStep> made = steps.OfType<LayerStep>().ToDictionary(s => s.Outputs[0], StringComparer.Ordinal);
        Dictionary<PlanStep, int> order = new(ReferenceEqualityComparer.Instance);
        foreach (PlanStep step in steps)
            order[step] = order.Count;
        HashSet<PlanStep> gone = new(ReferenceEqualityComparer.Instance);
        Dictionary<PlanStep, ResidualStep> fused = new(ReferenceEqualityComparer.Instance);
        foreach (LayerStep add in steps.OfType<LayerStep>())
        {
            if (add.Sum is not { } sum || add.OperandName(0) == add.OperandName(1))
                continue;
            // The later branch: the other one is there by then.
            LayerStep? conv = Enumerable.Range(0, 2).Select(i => add.OperandName(i)).OfType<string>().Select(v => made.GetValueOrDefault(v)).OfType<LayerStep>()
                .Where(s => s.Layer is QuantizedConv && !gone.Contains(s) && uses[s.Outputs[0]] == 1 && !outputs.Contains(s.Outputs[0]) && s.LimitsItself)
                .MaxBy(s => order[s]);
            int own = conv is null ? -1 : add.OperandName(0) == conv.Outputs[0] ? 0 : 1;
            if (conv is null || add.OperandName(1 - own) is null)
                continue;
            gone.Add(conv);
            fused[add] = new ResidualStep(conv, add, sum, 1 - own);
        }
        return [.. steps.Where(s => !gone.Contains(s)).Select(s => fused.GetValueOrDefault(s) ?? s)];
    }
}
