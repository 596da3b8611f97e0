using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>exp(x) over the sum of exp(x) along a dimension. The result's range, 0 to 1, is known beforehand.</summary>
/// <remarks>Source: PyTorch's default_fixed_qparams_range_0to1_observer and onnxruntime/python/tools/quantization/operators/softmax.py
/// agree on scale
/// 1/256 with the smallest integer for 0; where activations are symmetric and signed, the latter has 1/127 and 0. Types of other widths are
/// observed.</remarks>
public sealed class Softmax : QuantOperator
{
    /// <summary>Since then the axis is one dimension, before it all from there on.</summary>
    private const int OneDimension = 13;

    public override string OpType => "Softmax";

    public override QParams? FixedOutput(QConfig config)
    {
        QDType dtype = config.Activation.DType;
        if (!dtype.IsEightBit())
            return null;
        return dtype == QDType.QInt8 && config.Activation.Scheme.IsSymmetric() ? new QParams(1f / 127f, 0, dtype)
            : new QParams(1f / 256f, dtype.Range().Min, dtype);
    }

    /// <summary>QLinearSoftmax, which carries its operator set along, or the float formula where the types differ or PyTorch's rules hold.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        bool flattens = node.GetInt("opset", context.Context.Graph.Opset) < OneDimension;
        QuantizedSoftmax softmax = new(context.Inputs[0], context.Output, (int)node.GetInt("axis", flattens ? 1 : -1), flattens,
            wholeSteps: context.OnnxRule && context.Inputs[0].DType == context.Output.DType);
        return (inputs, spent) => softmax.Run(inputs[0]);
    }

    /// <summary>The meaning of the axis changed with opset 13, so the node says whose it is.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => writer.Write("QLinearSoftmax", IntegerWriter.Microsoft,
        [.. writer.Input(0), .. writer.OutputParameters], Nodes.Attribute("axis", writer.Node.GetInt("axis", -1)),
        Nodes.Attribute("opset", (long)writer.Opset));
}
