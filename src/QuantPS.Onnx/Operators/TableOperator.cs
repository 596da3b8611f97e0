using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>A function of one variable: 256 possible inputs, so a table.</summary>
public abstract class TableOperator : QuantOperator
{
    /// <summary>The function in float32.</summary>
    protected abstract Func<float, float> Function(NodeProto node);

    /// <summary>The same as ONNX Runtime computes it.</summary>
    protected virtual Func<float, float> OnnxFunction(NodeProto node) => Function(node);

    /// <param name="node">The node.</param>
    /// <param name="onnxRule">As ONNX Runtime computes it.</param>
    internal Func<float, float> FunctionOf(NodeProto node, bool onnxRule) => onnxRule ? OnnxFunction(node) : Function(node);

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedTable table = new(context.Inputs[0], context.Output, FunctionOf(context.Context.Node, context.OnnxRule), context.OnnxRule);
        return (inputs, spent) => table.Run(inputs[0], inPlace: (spent & 1) != 0);
    }

    /// <summary>PyTorch's fixed parameters for functions into 0..1: scale 1/256, smallest integer for 0.</summary>
    /// <remarks>Source: torch/ao/quantization/observer.py default_fixed_qparams_range_0to1_observer. ONNX Runtime observes such
    /// outputs.</remarks>
    private protected static QParams? ZeroToOne(QConfig config) => config.Backend == EngineKind.OnnxRuntime
        ? null
        : new QParams(1f / 256f, config.Activation.DType.Range().Min, config.Activation.DType);
}
