namespace QuantPS.Onnx.Model;

/// <summary>A pass that rewrote a model.</summary>
/// <param name="Name">The pass.</param>
/// <param name="Places">How many places it rewrote.</param>
public sealed record AppliedPass(string Name, int Places)
{
    public override string ToString() => $"{Name} x {Places}";
}
