using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>An operator that moves or picks elements and computes none: the integers keep their meaning, so the result shares its input's
/// scale and zero
/// point, and files in QOperator form have the same operator on integers.</summary>
public abstract class DataMovement : QuantOperator
{
    /// <summary>Every element of the result is one of the input's, and which one its place alone decides: nothing is compared, computed or added.</summary>
    public virtual bool OnlyMoves => true;

    public override bool SharesInputQParams(NodeContext context) => true;

    public override bool WriteIntegers(IntegerWriter writer) => writer.WriteSame();
}
