namespace QuantPS.Onnx.Operators;

/// <summary>Elements picked by an index each.</summary>
public sealed class GatherElements : DataMovement
{
    public override string OpType => "GatherElements";
}
