namespace QuantPS.Onnx.Operators;

/// <summary>Blocks of the image stacked as channels.</summary>
public sealed class SpaceToDepth : DataMovement
{
    public override string OpType => "SpaceToDepth";
}
