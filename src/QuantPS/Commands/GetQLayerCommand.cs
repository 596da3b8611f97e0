using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Observers;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Commands;

/// <summary>Get-QLayer: the nodes of a model, a calibration or a quantized model, an object each.</summary>
[Cmdlet(VerbsCommon.Get, "QLayer")]
[OutputType(typeof(QLayer))]
public sealed class GetQLayerCommand : QuantCmdlet
{
    /// <summary>Names, with wildcards; all by default.</summary>
    [Parameter(Position = 0)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>A QModel, a Calibration, a QuantizedModel, or a quantized layer.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public object InputObject { get; set; } = null!;

    /// <inheritdoc/>
    protected override object? CurrentItem => InputObject;

    /// <inheritdoc/>
    protected override void Process()
    {
        object given = InputObject is PSObject wrapped ? wrapped.BaseObject : InputObject;
        QLayer[] layers = [.. given switch
        {
            QuantizedModel model => model.Graph.Nodes.Select(n => Row(model, n)),
            Calibration calibration => calibration.Data.Plan.Nodes.Select(n => Row(calibration.Name, calibration.Data, n)),
            QModel model when ModelPlan.Suits(model.Onnx) => Rows(model),
            QModel model => new QuantizationPlan(Onnx.Passes.PassRegistry.Apply(model.Onnx)).Nodes.Select(n => Row(model.Name, null, n)),
            QuantizedWeightLayer layer => [new QLayer { Name = layer.Name, Op = layer is QuantizedConv ? "Conv" : "Gemm", Model = "", Layer = layer, IsQuantized = true, Input = layer.InputQParams, Output = layer.OutputQParams }],
            QLayer layer => [layer],
            _ => throw new QuantException(ErrorIds.InvalidArgument, $"Get-QLayer takes a QModel, a Calibration, a QuantizedModel or a quantized layer, not {given.GetType().Name}.", given),
        }];
        foreach (string pattern in Name)
        {
            var wildcard = new WildcardPattern(pattern, WildcardOptions.IgnoreCase);
            QLayer[] matches = [.. layers.Where(l => wildcard.IsMatch(l.Name))];
            if (matches.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(pattern))
                Guard(() => throw new QuantException(ErrorIds.LayerNotFound, $"There is no layer '{pattern}'. The layers: {string.Join(", ", layers.Select(l => l.Name))}.", pattern), pattern);
            WriteObject(matches, enumerateCollection: true);
        }
    }

    /// <summary>A file that came quantized: its layers, and what is left to ONNX Runtime.</summary>
    private static IEnumerable<QLayer> Rows(QModel model)
    {
        using ModelPlan plan = new(model.Onnx);
        return [.. plan.Layers.Select(l => new QLayer
        {
            Name = l.Name,
            Op = l.OpType,
            Model = model.Name,
            Layer = l.Layer,
            IsQuantized = l.IsInteger,
            Reason = l.IsInteger ? null : "it runs on ONNX Runtime: no int8 kernel takes it, or its values are not 8-bit integers",
            Input = l.Input,
            Output = l.Output,
            Weight = l.Layer?.Weight,
            KernelOf = l.Kernel,
        })];
    }

    private static QLayer Row(QuantizedModel model, QuantizedNode node)
    {
        string? input = node.Planned.Inputs.FirstOrDefault();
        QLayer row = Row(model.Name, model.Graph.Calibration, node.Planned, model.Graph.Plan);
        return new QLayer
        {
            Name = row.Name,
            Op = row.Op,
            Model = row.Model,
            Layer = node.Layer,
            IsQuantized = row.IsQuantized,
            Reason = row.Reason,
            Input = input is null ? null : model.Graph.QParamsOf(input),
            Output = node.IsQuantized ? model.Graph.QParamsOf(node.Planned.Output) : null,
            Weight = node.Weights.OrderBy(w => w.Key).Select(w => w.Value).FirstOrDefault(),
            Min = row.Min,
            Max = row.Max,
            Histogram = row.Histogram,
            Observed = row.Observed,
            KernelOf = () => Int8Plan.KernelOf(model.Graph, node),
        };
    }

    private static QLayer Row(string model, CalibrationData? data, PlannedNode node, QuantizationPlan? plan = null)
    {
        // A plan made after calibration may have other roots; the statistics are where they were.
        string? own = node.IsQuantized ? (plan ?? data?.Plan)?.Root(node.Output) : null, root = own is null ? null : data!.Plan.Root(own);
        Observer? seen = root is null ? null : data!.Observers.GetValueOrDefault(root);
        return new QLayer
        {
            Name = node.Name,
            Op = node.OpType,
            Model = model,
            IsQuantized = node.IsQuantized,
            Reason = node.Reason,
            Min = seen is { MinValues: [float min, ..] } ? min : null,
            Max = seen is { MaxValues: [float max, ..] } ? max : null,
            Histogram = seen is null ? [] : seen.Histogram.ToArray(),
            Observed = seen is null ? null : (root!, seen),
        };
    }
}
