namespace QuantPS.Onnx.Operators;

/// <summary>Channels spread over the image.</summary>
public sealed class DepthToSpace : DataMovement
{
    public override string OpType => "DepthToSpace";
}
