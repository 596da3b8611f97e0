using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>Nodes of a quantized file that are one layer of integers: DequantizeLinear, an operator, perhaps a Relu, QuantizeLinear; or an operator on
/// integers by itself.</summary>
internal sealed record IntegerUnit
{
    /// <summary>What it computes, as float graphs write it.</summary>
    public required NodeContext Context { get; init; }

    public required QuantOperator Operator { get; init; }

    /// <summary>The nodes that it stands for; DequantizeLinear nodes, which others may need too, are not among them.</summary>
    public required IReadOnlyList<NodeProto> Nodes { get; init; }

    /// <summary>Names of the integers that come in, in the operator's order, and what they mean.</summary>
    public required IReadOnlyList<(string Name, QParams QParams)> Inputs { get; init; }

    /// <summary>Name and meaning of the integers that it makes.</summary>
    public required (string Name, QParams QParams) Output { get; init; }

    /// <summary>The Relu or Clip among the nodes; null without.</summary>
    public NodeProto? Activation { get; init; }

    /// <summary>What that lets through.</summary>
    public ActivationRange Range { get; init; } = ActivationRange.All;

    /// <summary>The integers that a Clip behind the layer lets through; null without.</summary>
    public (int Low, int High)? Limits { get; init; }

    /// <summary>The weight with the output channels first, qint8; null for operators without weights.</summary>
    public QuantizedTensor? Weight { get; init; }

    public LayerBias Bias { get; init; }

    /// <summary>"Conv", "Conv+Relu", "Mul+HardSwish+Add", ...</summary>
    public string OpType => Operator is ElementwiseChain chain ? string.Join('+', chain.Nodes.Select(n => n.OpType))
        : Operator is NormalizedSum ? "Add+LayerNormalization"
        : Activation is null ? Context.Node.OpType : $"{Context.Node.OpType}+{Activation.OpType}";

    public StepContext StepContext => new(Context, [.. Inputs.Select(i => i.QParams)], Output.QParams, Range, EngineKind.OnnxRuntime);

    /// <summary>The layer with weights, ready to run, or the operator's step; null where this module has no kernel.</summary>
    public (QuantizedWeightLayer? Layer, Int8Step Step)? Build()
    {
        if (Weight is not null)
        {
            LayerOptions options = new()
            {
                Name = Context.Name,
                Relu = Range.IsRelu,
                Limits = Limits ?? (Range.IsDoneByLayer(Output.QParams, onnxRule: true) ? null : Range.Integers(Output.QParams, onnxRule: true)),
            };
            if (((WeightOperator)Operator).CreateLayer(Context, Weight, Bias, Inputs[0].QParams, Output.QParams, EngineKind.OnnxRuntime, options) is not { } layer)
                return null;
            return (layer, (inputs, spent) => layer.Run(inputs[0]));
        }
        if (Inputs.Count == 1 && Operator.RangeOf(Context.Graph, Context.Node) is ActivationRange own)
        {
            QuantizedTable table = new(Inputs[0].QParams, Output.QParams, v => MathF.Min(MathF.Max(v, own.Low), own.High), onnxRule: true);
            return (null, (inputs, spent) => table.Run(inputs[0], inPlace: (spent & 1) != 0));
        }
        if (Operator is DataMovement)
        {
            QParams input = Inputs[0].QParams;
            if (Operator.CreateStep(new StepContext(Context, [input], input, Range, EngineKind.OnnxRuntime)) is not Int8Step moved)
                return null;
            if (input.IsSameAs(Output.QParams))
                return (null, moved);
            QuantizedTable table = new(input, Output.QParams, v => v, onnxRule: true);
            return (null, (inputs, spent) => table.Run(moved(inputs, spent)));
        }
        return Operator.CreateStep(StepContext) is Int8Step step ? (null, step) : null;
    }
}
