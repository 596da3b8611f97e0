namespace QuantPS.Onnx.Operators;

/// <summary>Every channel of every image to mean 0 and deviation 1, then times a factor, plus an offset.</summary>
public sealed class InstanceNormalization : Normalization
{
    public override string OpType => "InstanceNormalization";
}
