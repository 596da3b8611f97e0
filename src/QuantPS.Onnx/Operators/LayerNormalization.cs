namespace QuantPS.Onnx.Operators;

/// <summary>The last dimensions to mean 0 and deviation 1, then times a factor, plus an offset.</summary>
public sealed class LayerNormalization : Normalization
{
    public override string OpType => "LayerNormalization";
}
