namespace QuantPS.Onnx.Operators;

/// <summary>Nothing. The pass RemoveIdentity leaves those that make an output of the graph.</summary>
public sealed class Identity : DataMovement
{
    public override string OpType => "Identity";

    public override Int8Step? CreateStep(StepContext context) => (inputs, spent) => inputs[0];
}
