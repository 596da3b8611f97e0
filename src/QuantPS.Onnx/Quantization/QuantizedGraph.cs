using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Quantization;

/// <summary>A node of a quantized graph.</summary>
/// <param name="Planned">The node and what it became.</param>
/// <param name="Layer">The quantized layer, for operators with weights.</param>
public sealed record QuantizedNode(PlannedNode Planned, QuantizedWeightLayer? Layer)
{
    public string Name => Planned.Name;

    /// <summary>"Conv", "Conv+Relu", ...</summary>
    public string OpType => Planned.OpType;

    public bool IsQuantized => Planned.IsQuantized;

    /// <summary>Why it runs in float; null when it runs in int8.</summary>
    public string? Reason => Planned.Reason;
}

/// <summary>A float graph with the parameters that make it an int8 one: layers with integer weights, scales and zero points of the values between.</summary>
public sealed class QuantizedGraph
{
    private readonly Dictionary<string, QParams> qparams;

    internal QuantizedGraph(CalibrationData calibration, Dictionary<string, QParams> qparams, IReadOnlyList<QuantizedNode> nodes, IReadOnlyList<string> warnings)
    {
        Calibration = calibration;
        this.qparams = qparams;
        Nodes = nodes;
        Warnings = warnings;
        Layers = [.. nodes.Where(n => n.Layer is not null).Select(n => n.Layer!)];
        FloatNodes = [.. nodes.Where(n => !n.IsQuantized)];
    }

    public string Name => Calibration.Original.Name;

    /// <summary>What it was made from.</summary>
    public CalibrationData Calibration { get; }

    public QConfig QConfig => Calibration.QConfig;

    public QuantizationPlan Plan => Calibration.Plan;

    /// <summary>The float model after the passes.</summary>
    public OnnxModel Float => Plan.Model;

    /// <summary>The model as it was given.</summary>
    public OnnxModel Original => Calibration.Original;

    /// <summary>Every node in running order, fused activations left out.</summary>
    public IReadOnlyList<QuantizedNode> Nodes { get; }

    /// <summary>The layers with weights, in running order.</summary>
    public IReadOnlyList<QuantizedWeightLayer> Layers { get; }

    /// <summary>The nodes that run in float, each with its reason.</summary>
    public IReadOnlyList<QuantizedNode> FloatNodes { get; }

    /// <summary>What the user should know: values never observed, biases outside int32, with the names of layers.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>Whether floats are quantized by division (ONNX) rather than by the reciprocal (PyTorch).</summary>
    public bool OnnxRule => QConfig.Backend == EngineKind.OnnxRuntime;

    /// <summary>The parameters of a value of the graph; null when it stays float.</summary>
    public QParams? QParamsOf(string value) => Plan.Root(value) is string root ? qparams[root] : null;

    internal StepContext StepContextOf(PlannedNode node) =>
        new(Plan.ContextOf(node.Node), [.. node.Inputs.Select(v => QParamsOf(v)!)], QParamsOf(node.Output)!, node.Range, OnnxRule);
}
