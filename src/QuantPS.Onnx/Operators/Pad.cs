using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>A margin of zeros, of another constant, or of the input's own values. Zero and the input's own values have integers under the
/// input's
/// parameters; with any other constant the result has parameters of its own.</summary>
public sealed class Pad : DataMovement
{
    public override string OpType => "Pad";

    /// <summary>A margin comes along.</summary>
    public override bool OnlyMoves => false;

    public override bool SharesInputQParams(NodeContext context) => Value(context) == 0f || context.Node.GetString("mode", "constant") != "constant";

    /// <summary>On integers the margin is the zero point.</summary>
    public override bool WriteIntegers(IntegerWriter writer)
    {
        if (!SharesInputQParams(writer.Context))
            return false;
        if (writer.Node.GetString("mode", "constant") != "constant")
            return writer.WriteSame();
        return writer.WriteSame((2, writer.Input(0)[2]));
    }

    /// <summary>The constant; null when it is computed. An attribute until opset 10.</summary>
    private static float? Value(NodeContext context) => GraphIndex.Input(context.Node, 2).Length == 0 ? context.Node.GetFloat("value", 0f)
        : context.ConstantInput(2)?.ToScalar();
}
