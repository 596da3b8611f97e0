namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 left out.</summary>
public sealed class Squeeze : DataMovement
{
    public override string OpType => "Squeeze";
}
