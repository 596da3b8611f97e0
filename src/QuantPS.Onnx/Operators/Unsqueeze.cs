namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 put in.</summary>
public sealed class Unsqueeze : DataMovement
{
    public override string OpType => "Unsqueeze";
}
