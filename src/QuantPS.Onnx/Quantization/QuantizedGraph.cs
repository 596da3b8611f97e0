using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
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

    /// <summary>Quantized weights and bias as a file has them, by the input's index (2 for the bias).</summary>
    public IReadOnlyDictionary<int, QuantizedTensor> Weights { get; init; } = new Dictionary<int, QuantizedTensor>();
}

/// <summary>A float graph with the parameters that make it an int8 one: layers with integer weights, scales and zero points of the values
/// between.</summary>
public sealed class QuantizedGraph
{
    private readonly Dictionary<string, QParams> qparams;

    internal QuantizedGraph(CalibrationData calibration, QuantizationPlan plan, QConfig config, QuantizeOptions options,
        Dictionary<string, QParams> qparams, IReadOnlyDictionary<string, QuantizedTensor> constants, IReadOnlyList<QuantizedNode> nodes,
        IReadOnlyList<string> warnings, IReadOnlyList<string> notes)
    {
        Calibration = calibration;
        Plan = plan;
        QConfig = config;
        Options = options;
        this.qparams = qparams;
        Constants = constants;
        Nodes = nodes;
        Warnings = warnings;
        Notes = notes;
        Layers = [.. nodes.Where(n => n.Layer is not null).Select(n => n.Layer!)];
        FloatNodes = [.. nodes.Where(n => !n.IsQuantized)];
    }

    public string Name => Calibration.Original.Name;

    /// <summary>What it was made from.</summary>
    public CalibrationData Calibration { get; }

    /// <summary>The calibration's configuration, with what the options change.</summary>
    public QConfig QConfig { get; }

    /// <summary>What was decided after calibration.</summary>
    public QuantizeOptions Options { get; }

    public QuantizationPlan Plan { get; }

    /// <summary>The constants that are quantized like activations.</summary>
    public IReadOnlyDictionary<string, QuantizedTensor> Constants { get; }

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

    /// <summary>What a file has otherwise than the layers: weights whose scale was widened so that the bias fits int32.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>Whether floats are quantized by division (ONNX) rather than by the reciprocal (PyTorch).</summary>
    public bool OnnxRule => QConfig.Backend == EngineKind.OnnxRuntime;

    /// <summary>The parameters of a value of the graph; null when it stays float.</summary>
    public QParams? QParamsOf(string value) => Plan.Root(value) is string root ? qparams[root] : null;

    /// <summary>The parameters that a node sees at one of its inputs.</summary>
    internal QParams InputQParams(PlannedNode node, string value) =>
        TensorOverrides.ForConsumer(QParamsOf(value)!, node, value, Options, QConfig, Plan);

    internal StepContext StepContextOf(PlannedNode node) =>
        new(Plan.ContextOf(node), [.. node.Inputs.Select(v => InputQParams(node, v))], QParamsOf(node.Output)!, node.Range, QConfig.Backend);
}
