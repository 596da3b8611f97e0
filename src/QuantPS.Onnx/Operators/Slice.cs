namespace QuantPS.Onnx.Operators;

/// <summary>A part of every dimension, also with steps.</summary>
public sealed class Slice : DataMovement
{
    public override string OpType => "Slice";
}
