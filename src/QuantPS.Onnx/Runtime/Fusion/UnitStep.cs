using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>A layer of a file that came quantized, by this module's kernels.</summary>
internal sealed class UnitStep : PlanStep
{
    private readonly Int8Step step;
    // A constant operand, or where the operand is among the step's inputs.
    private readonly (QuantizedTensor? Constant, int Input)[] operands;

    private UnitStep(IntegerUnit unit, QuantizedWeightLayer? layer, Int8Step step, ConstantValues constants)
    {
        Unit = unit;
        Layer = layer;
        this.step = step;
        Inputs = [.. unit.Inputs.Select(i => i.Name).Where(n => !constants.Has(n)).Distinct()];
        Outputs = [unit.Output.Name];
        operands = [.. unit.Inputs.Select(i => constants.Has(i.Name) ? (constants.Find(i.Name)!.Meant(i.QParams), -1)
            : ((QuantizedTensor?)null, Array.IndexOf([.. Inputs], i.Name)))];
    }

    public IntegerUnit Unit { get; }

    /// <summary>The layer, for operators with weights.</summary>
    public QuantizedWeightLayer? Layer { get; }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    /// <summary>The step for a unit; null where this module has no kernel.</summary>
    public static UnitStep? Create(IntegerUnit unit, ConstantValues constants) =>
        unit.Build() is var (layer, step) ? new UnitStep(unit, layer, step, constants) : null;

    public override string Description => $"{Unit.OpType} {Unit.Context.Name} {Layer?.KernelName}";

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => Run(inputs, outputs, 0);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent)
    {
        var integers = new QuantizedTensor[operands.Length];
        uint over = 0;
        for (int i = 0; i < integers.Length; i++)
        {
            (QuantizedTensor? constant, int input) = operands[i];
            integers[i] = constant ?? inputs[input].Meant(Unit.Inputs[i].QParams);
            if (constant is null && (spent >> input & 1) != 0)
                over |= 1u << i;
        }
        outputs[0] = GraphValue.FromLayer(step(integers, over));
    }
}
