using QuantPS.Abstractions;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Formatting;

namespace QuantPS.Models;

/// <summary>One node of a model, made to be read, filtered and piped.</summary>
public sealed class QLayer : ILayerSource
{
    private readonly Func<string?>? kernel;

    /// <summary>Name of the node.</summary>
    public required string Name { get; init; }

    /// <summary>The operator and what is fused into it: "Conv+Relu".</summary>
    public required string Op { get; init; }

    /// <summary>Name of the model.</summary>
    public required string Model { get; init; }

    /// <summary>The quantized layer; null for operators without weights and float nodes.</summary>
    public QuantizedWeightLayer? Layer { get; init; }

    /// <summary>False for a node that runs in float; then <see cref="Reason"/> says why.</summary>
    public bool IsQuantized { get; init; }

    /// <summary>Why the node runs in float.</summary>
    public string? Reason { get; init; }

    /// <summary>Parameters of the first input; null where it is float or not yet known.</summary>
    public QParams? Input { get; init; }

    /// <summary>Parameters of the output.</summary>
    public QParams? Output { get; init; }

    /// <summary>Scale of the input.</summary>
    public double? InputScale => Input?.Scales[0];

    /// <summary>Zero point of the input.</summary>
    public int? InputZeroPoint => Input?.ZeroPoints[0];

    /// <summary>Scale of the output.</summary>
    public double? OutputScale => Output?.Scales[0];

    /// <summary>Zero point of the output.</summary>
    public int? OutputZeroPoint => Output?.ZeroPoints[0];

    /// <summary>Scales of the weight, one or one per output channel; null without weights.</summary>
    public double[]? WeightScale => (Layer?.Weight ?? Weight) is { } w ? [.. w.QParams.Scales.ToArray().Select(s => (double)s)] : null;

    /// <summary>The weight as a file has it; null without weights.</summary>
    public QuantizedTensor? Weight { get; init; }

    /// <summary>The engine whose arithmetic runs.</summary>
    public EngineKind? Engine => Layer?.EffectiveEngine;

    /// <summary>How many times the bias fits into int32, of the output channel where it is tightest; null without bias.</summary>
    public double? BiasHeadroom => Layer?.Bias is null ? null : Layer.BiasHeadroom.Min();

    /// <summary>What runs it in our int8 runtime: the kernel of a layer with weights, "integers" for other operators of ours, "ONNX Runtime" for what is left to
    /// that. Null before conversion.</summary>
    public string? Kernel => kernel?.Invoke();

    internal Func<string?>? KernelOf { init => kernel = value; }

    /// <summary>Smallest and largest value observed at the output.</summary>
    public float? Min { get; init; }

    /// <inheritdoc cref="Min"/>
    public float? Max { get; init; }

    /// <summary>Counts of the values observed at the output in equal bins from Min to Max; empty where the observer keeps none.</summary>
    public float[] Histogram { get; init; } = [];

    /// <summary>The observed value whose parameters the output has, and its observer.</summary>
    internal (string Value, Observer Observer)? Observed { get; init; }

    /// <summary>The spread of the output's values as a line of bars.</summary>
    public string Activations => Text.Sparkline(Histogram);

    IReadOnlyList<QuantizedWeightLayer> ILayerSource.QuantizedLayers => Layer is null ? [] : [Layer];

    /// <inheritdoc/>
    public override string ToString() => Name;
}
