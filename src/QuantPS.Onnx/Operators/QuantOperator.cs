using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>A node in its graph, with the types of the values around it.</summary>
public sealed record NodeContext(GraphIndex Graph, NodeProto Node, ValueTypes Types)
{
    /// <summary>The Add of a constant that became the bias of a MatMul; null otherwise.</summary>
    public NodeProto? BiasAdd { get; init; }

    /// <summary>In a graph that already is quantized, the float constant behind a dequantized value, or null.</summary>
    public Func<string, TensorProto?>? Dequantized { get; init; }

    public string Name => GraphIndex.DisplayName(Node);

    public TensorProto? ConstantInput(int index) => Constant(GraphIndex.Input(Node, index));

    /// <summary>The constant behind a value, or null.</summary>
    public TensorProto? Constant(string value) => Dequantized?.Invoke(value) ?? Graph.Constant(value);
}

/// <summary>What an operator needs to make its int8 form.</summary>
/// <param name="Context">The node.</param>
/// <param name="Inputs">8-bit parameters of the activation inputs, in the operator's order.</param>
/// <param name="Output">8-bit parameters of the output, behind a fused activation.</param>
/// <param name="Range">What a fused Relu or Clip leaves of the output; <see cref="ActivationRange.All"/> without one.</param>
/// <param name="Engine">Whose arithmetic.</param>
public sealed record StepContext(NodeContext Context, IReadOnlyList<QParams> Inputs, QParams Output, ActivationRange Range, EngineKind Engine)
{
    /// <summary>Quantize by division, as ONNX does, rather than by the reciprocal, as PyTorch does.</summary>
    public bool OnnxRule => Engine == EngineKind.OnnxRuntime;
}

/// <summary>A constant input that is quantized.</summary>
/// <param name="Index">Which input.</param>
/// <param name="Axis">Dimension of the channels in the file's layout, for per-channel weights; null where only one scale makes
/// sense.</param>
/// <param name="IsBias">int32 at input scale x weight scale.</param>
public readonly record struct WeightInput(int Index, int? Axis, bool IsBias = false);

/// <summary>The int8 form of a node: activations in, one tensor out.</summary>
/// <param name="inputs">In the operator's order.</param>
/// <param name="spent">Bit i is set when input i's memory may be written over: nobody needs it any more.</param>
public delegate QuantizedTensor Int8Step(IReadOnlyList<QuantizedTensor> inputs, uint spent);

/// <summary>What quantization has to know of an ONNX operator. One file each, one line in <see cref="OperatorRegistry"/>.</summary>
public abstract class QuantOperator
{
    /// <summary>ONNX's name of it.</summary>
    public abstract string OpType { get; }

    /// <summary>The operator set that it belongs to: "" for ONNX's own.</summary>
    public virtual string Domain => OnnxModel.StandardDomain;

    /// <summary>Which inputs are activations, to be quantized by their observers; constants among them by their own range.</summary>
    public virtual IReadOnlyList<int> ActivationInputs(NodeProto node) => [0];

    /// <summary>Which outputs are quantized; an operator that gives positions rather than values has none.</summary>
    public virtual IReadOnlyList<int> QuantizedOutputs(NodeProto node) => [0];

    /// <summary>The constant inputs that are quantized like weights and biases.</summary>
    public virtual IReadOnlyList<WeightInput> WeightInputs(NodeContext context) => [];

    /// <summary>The outputs' integers mean the same as the first input's: no observer of their own.</summary>
    public virtual bool SharesInputQParams(NodeContext context) => false;

    /// <summary>Quantized for its own sake, whether or not its inputs already are integers.</summary>
    public virtual bool IsWorthwhile(NodeContext context) => false;

    /// <summary>A following Relu or Clip becomes part of it: the value between is never quantized.</summary>
    public virtual bool AbsorbsActivation => false;

    /// <summary>Why this node has to stay in float; null when it can run in int8.</summary>
    public virtual string? WhyFloat(NodeContext context) => null;

    /// <summary>The range that the node limits its input to, when it does nothing else (Relu, Clip); null otherwise.</summary>
    public virtual ActivationRange? RangeOf(GraphIndex graph, NodeProto node) => null;

    /// <summary>Parameters that PyTorch fixes for the output, because the range is known beforehand; null to observe it.</summary>
    public virtual QParams? FixedOutput(QConfig config) => null;

    /// <summary>Makes the int8 form; null where this module has no kernel: then it runs in float, on dequantized values, and its result is
    /// quantized.</summary>
    public virtual Int8Step? CreateStep(StepContext context) => null;

    /// <summary>Adds the nodes that work on integers alone to a file in QOperator form; false when there are none: then the file has the
    /// float
    /// operator between DequantizeLinear and QuantizeLinear.</summary>
    public virtual bool WriteIntegers(IntegerWriter writer) => false;
}

/// <summary>A layer's bias: float32, as a float model has it, or int32 in steps of input scale x weight scale, as a quantized file has it; or
/// none.</summary>
/// <param name="Real">A value per output channel; null without.</param>
/// <param name="Integers">Taken as they are, with ONNX Runtime's arithmetic; null without.</param>
public readonly record struct LayerBias(float[]? Real, int[]? Integers = null)
{
    public static implicit operator LayerBias(float[]? real) => new(real);
}

/// <summary>What quantization has to know of an operator that carries weights: these are what a model is quantized for.</summary>
public abstract class WeightOperator : QuantOperator
{
    public override bool AbsorbsActivation => true;

    public override bool IsWorthwhile(NodeContext context) => true;

    /// <summary>The float weight with the output channels first.</summary>
    public abstract Tensor Weight(NodeContext context);

    /// <summary>The float bias, one value per output channel; null without.</summary>
    public abstract float[]? Bias(NodeContext context);

    /// <summary>Makes the quantized layer; null where the engine has none.</summary>
    public abstract QuantizedWeightLayer? CreateLayer(NodeContext context, QuantizedTensor weight, LayerBias bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options);

    /// <summary>The weight has one scale even where weights are per channel.</summary>
    public virtual bool PerTensorWeight => false;

    /// <summary>A following Add whose constant is this layer's bias; null without.</summary>
    public virtual NodeProto? BiasAdd(NodeContext context) => null;

    /// <summary>Whether the file keeps the weight as [in, out] rather than [out, in].</summary>
    public virtual bool WeightIsTransposed(NodeProto node) => false;

    private protected static string? WhyNotConstant(NodeContext context, int index, string what) =>
        context.ConstantInput(index) is not TensorProto t ? $"its {what} is computed, not a constant"
        : t.Type() != TensorProto.Types.DataType.Float ? $"its {what} is {t.Type()}, not float32"
        : null;
}
