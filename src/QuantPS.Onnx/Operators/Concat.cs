using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Activations, and constants, joined along a dimension, each requantized to the result's parameters.</summary>
public sealed class Concat : QuantOperator
{
    public override string OpType => "Concat";

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [.. Enumerable.Range(0, node.Input.Count)];

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedConcat concat = LayerOf(context);
        return (inputs, spent) => concat.Run([.. inputs]);
    }

    /// <summary>What joins them.</summary>
    internal static QuantizedConcat LayerOf(StepContext context) => new(context.Output, (int)context.Context.Node.GetInt("axis", 1), channelsLast: false,
        context.OnnxRule ? EngineKind.OnnxRuntime : EngineKind.X86);

    public override bool WriteIntegers(IntegerWriter writer) => writer.Write("QLinearConcat", IntegerWriter.Microsoft,
        [.. writer.OutputParameters, .. Enumerable.Range(0, writer.Node.Input.Count).SelectMany(writer.Input)], [.. writer.Node.Attribute]);
}
