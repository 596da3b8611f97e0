using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized node.</summary>
internal sealed class QuantizedStep : PlanStep
{
    private readonly Int8Step step;
    private readonly QParams[] inputParameters;
    private readonly bool onnxRule;

    public QuantizedStep(QuantizedGraph graph, QuantizedNode node)
    {
        Inputs = [.. node.Planned.Inputs];
        Outputs = [node.Planned.Output];
        inputParameters = [.. Inputs.Select(v => graph.QParamsOf(v)!)];
        onnxRule = graph.OnnxRule;
        step = node.Layer is QuantizedWeightLayer layer ? LayerStep(layer, node.Planned.Range, onnxRule)
            : node.Planned.Operator!.CreateStep(graph.StepContextOf(node.Planned));
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override void Run(Dictionary<string, GraphValue> values)
    {
        var inputs = new QuantizedTensor[Inputs.Count];
        for (int i = 0; i < inputs.Length; i++)
            inputs[i] = values[Inputs[i]].Integers(inputParameters[i], onnxRule);
        values[Outputs[0]] = new GraphValue(step(inputs));
    }

    private static Int8Step LayerStep(QuantizedWeightLayer layer, ActivationRange range, bool onnxRule) => inputs =>
    {
        QuantizedTensor y = layer.Run(inputs[0]);
        range.Clamp(y, onnxRule);
        return y;
    };
}
