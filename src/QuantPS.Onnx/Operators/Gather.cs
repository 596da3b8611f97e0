using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Slices picked by index. A constant table (an embedding) is quantized for its own sake: it is stored in a quarter of the
/// size.</summary>
public sealed class Gather : DataMovement
{
    public override string OpType => "Gather";

    public override bool IsWorthwhile(NodeContext context) => context.ConstantInput(0) is not null;
}
