using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators;

/// <summary>Where a residual branch ends: the sum of two activations, either of them times a constant per channel, and the LayerNormalization behind it, in one go. The sum, whose
/// channels differ more than those of any other value of a transformer, is never rounded to 8 bits.</summary>
/// <remarks>Not in the registry: the plan puts it in the place of the Add. In a file the nodes stand in float between DequantizeLinear and QuantizeLinear, where ONNX Runtime makes
/// SkipLayerNormalization of the Add and LayerNormalization (onnxruntime/core/optimizer/skip_layer_norm_fusion.cc).</remarks>
public sealed class NormalizedSum : QuantOperator
{
    private readonly (string Value, NodeProto? Scale, float[]? Factors)[] operands;
    private readonly NodeProto normalization;
    private readonly float[] gain;
    private readonly float[]? bias;

    private NormalizedSum((string Value, NodeProto? Scale, float[]? Factors)[] operands, NodeProto normalization, float[] gain, float[]? bias) =>
        (this.operands, this.normalization, this.gain, this.bias) = (operands, normalization, gain, bias);

    public override string OpType => "Add";

    /// <summary>The values that come in as integers, before their factors.</summary>
    public IReadOnlyList<string> Operands => [.. operands.Select(o => o.Value)];

    /// <summary>The products with factors, before the sum.</summary>
    public IReadOnlyList<NodeProto> Scales => [.. operands.Select(o => o.Scale).OfType<NodeProto>()];

    public NodeProto Normalization => normalization;

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [0, 1];

    /// <summary>The form of a sum; null where no LayerNormalization over the channels follows, or anybody else takes what lies between.</summary>
    /// <param name="context">The Add.</param>
    public static NormalizedSum? Find(NodeContext context)
    {
        (GraphIndex graph, NodeProto add, ValueTypes types) = (context.Graph, context.Node, context.Types);
        if (!add.Is("Add") || graph.OnlyConsumer(add.Output[0]) is not NodeProto norm || !norm.Is("LayerNormalization") || norm.Input[0] != add.Output[0]
            || norm.Output.Skip(1).Any(o => o.Length > 0) || types[add.Output[0]] is not { Rank: > 0 } type || norm.GetInt("axis", -1) is var axis && (axis != -1 && axis != type.Rank - 1)
            || Reals(GraphIndex.Input(norm, 1)) is not { Length: > 0 } gain || type.Dims[^1] != gain.Length)
            return null;
        string biasName = GraphIndex.Input(norm, 2);
        float[]? bias = biasName.Length > 0 ? Reals(biasName) : null;
        (string, NodeProto?, float[]?)[] operands = [.. add.Input.Select(Operand)];
        return add.Input[0] != add.Input[1] && (biasName.Length == 0 || bias?.Length == gain.Length) && operands.All(o => LastOf(o.Item1) == gain.Length)
            ? new(operands, norm, gain, bias) : null;

        float[]? Reals(string value) => context.Constant(value) is { Dims.Count: 1 } t && t.Type() == DataType.Float ? t.ToFloats() : null;

        int? LastOf(string value) => context.Constant(value) is { Dims.Count: > 0 } t ? (int)t.Dims[^1] : types[value] is { Rank: > 0 } known ? known.Dims[^1] : null;

        (string, NodeProto?, float[]?) Operand(string value)
        {
            if (graph.Producer(value) is not NodeProto mul || !mul.Is("Mul") || !ReferenceEquals(graph.OnlyConsumer(value), add))
                return (value, null, null);
            for (int i = 0; i < 2; i++)
            {
                if (context.Constant(mul.Input[i]) is { Dims.Count: > 0 } t && t.Type() == DataType.Float && t.Dims[^1] == gain.Length && t.Count() == gain.Length
                    && context.Constant(mul.Input[1 - i]) is null && t.Dims.Count <= types[mul.Input[1 - i]]?.Rank)
                    return (mul.Input[1 - i], mul, t.ToFloats());
            }
            return (value, null, null);
        }
    }

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedNormalizedSum sum = new(context.Inputs[0], operands[0].Factors, context.Inputs[1], operands[1].Factors, context.Output, gain, bias, normalization.GetFloat("epsilon", 1e-5f));
        return (inputs, spent) => sum.Run(inputs[0], inputs[1], inPlace: (spent & 1) != 0);
    }
}
