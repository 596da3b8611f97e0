using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>A layer of a file that came quantized.</summary>
internal sealed class UnitStep : LayerStep
{
    private UnitStep(IntegerUnit unit, QuantizedWeightLayer? layer, Int8Step step, ConstantValues constants)
        : base(step, layer, unit.StepContext, unit.Operator, [.. unit.Inputs.Select(i => (i.Name, constants.Has(i.Name) ? constants.Find(i.Name)!.Meant(i.QParams) : null))], unit.Output.Name) =>
        Unit = unit;

    public IntegerUnit Unit { get; }

    public override string Description => Layer is null ? $"{Unit.OpType} {Unit.Context.Name}" : $"{Unit.OpType} {Unit.Context.Name} ({Layer.KernelName})";

    public override IEnumerable<PlanLayer> Layers => [new PlanLayer(Unit.Context.Name, Unit.OpType, () => Layer?.KernelName ?? PlanLayer.Integers, IsInteger: true)
    {
        Layer = Layer,
        Input = Unit.Inputs[0].QParams,
        Output = Unit.Output.QParams,
    }];

    /// <summary>The step for a unit; null where this module has no kernel.</summary>
    public static UnitStep? Create(IntegerUnit unit, ConstantValues constants) =>
        unit.Build() is var (layer, step) ? new UnitStep(unit, layer, step, constants) : null;

    public override QuantizedTensor Read(int operand, GraphValue value) => value.Meant(Unit.Inputs[operand].QParams);

    public override GraphValue Made(QuantizedTensor result) => GraphValue.FromLayer(result);
}
