namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions in another order.</summary>
public sealed class Transpose : DataMovement
{
    public override string OpType => "Transpose";
}
