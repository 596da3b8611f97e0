using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Commands;

/// <summary>Compare-QModel: layer by layer, how far a quantized model is from the float one it was made of. An object a layer at the
/// end.</summary>
[Cmdlet(VerbsData.Compare, "QModel")]
[OutputType(typeof(LayerError))]
public sealed class CompareQModelCommand : TensorInputCmdlet
{
    private QuantizedNode[] nodes = [];
    private string[] values = [];
    private ErrorSums[] sums = [];
    private Int8Plan? plan;
    private OnnxRuntimeSession? reference;
    private ProgressReporter? progress;
    private long tensors;

    /// <summary>The quantized model; its float side runs on ONNX Runtime.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    public QuantizedModel Model { get; set; } = null!;

    /// <inheritdoc/>
    protected override void Begin()
    {
        // What gives positions (ArgMax) has no error in real numbers.
        nodes = [.. Model.Graph.Nodes.Where(n => n.Planned.Outputs.Any())];
        values = [.. nodes.Select(n => n.Planned.Output)];
        sums = [.. nodes.Select(_ => new ErrorSums())];
        SessionSettings settings = new() { Cancellation = Cancellation };
        plan = new Int8Plan(Model.Graph, settings);
        reference = new OnnxRuntimeSession(Model.Graph.Float, values, settings);
        progress = new ProgressReporter(this, $"Comparing {Model.Name}", "tensors");
    }

    /// <inheritdoc/>
    internal override void ProcessSample(ModelSample sample)
    {
        PlanResult quantized = plan!.Run(sample.For(plan.Inputs), values.ToHashSet(StringComparer.Ordinal));
        reference!.Run(sample.For(reference.Inputs), values, (name, data, _) =>
        {
            int i = Array.IndexOf(values, name);
            sums[i].Add(data, quantized.Captured[name].Span, nodes[i].Name);
        });
        tensors++;
        progress!.Advance();
    }

    /// <inheritdoc/>
    protected override void End()
    {
        progress?.Dispose();
        for (int i = 0; tensors > 0 && i < nodes.Length; i++)
        {
            WriteObject(new LayerError
            {
                Layer = nodes[i].Name,
                Op = nodes[i].OpType,
                SqnrDb = sums[i].SqnrDb,
                Cosine = sums[i].Cosine,
                MaxError = sums[i].MaxError,
                Elements = sums[i].Count,
            });
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        plan?.Dispose();
        reference?.Dispose();
        base.Dispose(disposing);
    }
}
