using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>A node made ready to run: its inputs (null where left out) to its outputs. Runs from any thread.</summary>
internal delegate GraphValue[] IntegerKernel(IReadOnlyList<GraphValue?> inputs);

/// <summary>One of ONNX's own operators on integers: how this module's engine runs it in a model that already is quantized.</summary>
internal abstract class IntegerOperator
{
    public abstract string OpType { get; }

    /// <summary>The inputs that hold scale and zero point of the first output; null when its integers have none.</summary>
    public virtual (int Scale, int ZeroPoint)? OutputParameters => null;

    /// <summary>True when the node's element types and attributes are ones that we run; otherwise it is left to ONNX Runtime.</summary>
    public abstract bool Claims(IntegerNode node);

    /// <summary>Makes the node ready to run.</summary>
    public abstract IntegerKernel Plan(IntegerNode node);

    protected static bool IsEightBit(DataType type) => type is DataType.Uint8 or DataType.Int8;
}
