using QuantPS.Abstractions;
using QuantPS.Commands;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Formatting;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Models;

/// <summary>A quantized model: integer weights, scales and zero points of every value between, run by our int8 kernels or exported to ONNX.</summary>
public sealed class QuantizedModel : IRunnable, ILayerSource
{
    private readonly Lazy<ExportResult> qdq, integers;

    internal QuantizedModel(QModel source, QuantizedGraph graph)
    {
        Source = source;
        Graph = graph;
        qdq = new(() => QdqExporter.Export(graph));
        integers = new(() => QOperatorExporter.Export(graph));
    }

    /// <inheritdoc cref="IModel.Name"/>
    public string Name => Source.Name;

    /// <summary>The float model that it was made of.</summary>
    public QModel Source { get; }

    /// <summary>How it was quantized.</summary>
    public QConfig QConfig => Graph.QConfig;

    /// <summary>Nodes that run in int8, of all: "12/12".</summary>
    public string Quantized => CountQuantized(Graph);

    /// <summary>The nodes that stay float, each with its reason.</summary>
    public string[] FloatIslands => [.. Graph.FloatNodes.Select(n => $"{n.Name} ({n.OpType}): {n.Reason}")];

    /// <summary>"per channel qint8".</summary>
    public string Weights => Graph.Layers.Count == 0 ? "" : LayerText.Weight(Graph.Layers[0].Weight);

    /// <summary>Bytes of the float model.</summary>
    public long FloatSizeBytes => Source.SizeBytes;

    /// <summary>Bytes of the quantized model in QDQ form.</summary>
    public long SizeBytes => Qdq.Model.SizeBytes;

    /// <summary>What was done to the float model before it was calibrated, pass by pass: "FoldBatchNormalization x 9".</summary>
    public string[] Preparation => [.. Graph.Float.Preparation.Select(p => p.ToString())];

    /// <summary>What the user should know: values never observed, biases beyond int32.</summary>
    public string[] Warnings => [.. Graph.Warnings];

    /// <summary>The layers with weights, in running order.</summary>
    public QuantizedWeightLayer[] Layers => [.. Graph.Layers];

    IReadOnlyList<QuantizedWeightLayer> ILayerSource.QuantizedLayers => Graph.Layers;

    internal static string CountQuantized(QuantizedGraph graph) => $"{graph.Nodes.Count(n => n.IsQuantized)}/{graph.Nodes.Count}";

    internal QuantizedGraph Graph { get; }

    internal ExportResult Qdq => qdq.Value;

    internal ExportResult Exported(QuantFormat format) => format == QuantFormat.QOperator ? integers.Value : qdq.Value;

    ModelRunner IRunnable.CreateRunner(ModelRuntime runtime, SessionSettings settings) => runtime == ModelRuntime.QuantPS
        ? new Int8Runner(new Int8Plan(Graph, settings))
        : new OnnxRuntimeRunner(Qdq.Model, settings, isFloat: false);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
