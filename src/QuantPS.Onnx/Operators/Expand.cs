namespace QuantPS.Onnx.Operators;

/// <summary>Repeated to a larger shape.</summary>
public sealed class Expand : DataMovement
{
    public override string OpType => "Expand";
}
