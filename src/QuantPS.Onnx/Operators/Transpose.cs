using QuantPS.Engine.Layers;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions in another order; by default the reverse.</summary>
public sealed class Transpose : DataMovement
{
    public override string OpType => "Transpose";

    public override Int8Step? CreateStep(StepContext context)
    {
        int[]? order = context.Context.Node.GetInts("perm");
        return (inputs, spent) => QuantizedRearrange.Permute(inputs[0], order ?? [.. Enumerable.Range(0, inputs[0].Rank).Reverse()]);
    }
}
