namespace QuantPS.Onnx.Passes;

/// <summary>Lifts models of older operator sets to the one that quantized models need at least; leaves those that cannot be lifted.</summary>
/// <remarks>What needs further nodes for it can be done here, before anything refers to nodes one by one.</remarks>
public sealed class RaiseOpset : GraphPass
{
    /// <summary>First operator set with scales along an axis.</summary>
    private const int Needed = 13;

    public override string Name => "RaiseOpset";

    public override int Apply(PassContext context) => context.Model.Opset < Needed && context.Allows(Needed) ? 1 : 0;
}
