using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Errors;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;

namespace QuantPS.Commands;

/// <summary>Invoke-Calibration: runs a float model over tensors from the pipeline and observes what flows through it. One Calibration at the end.</summary>
/// <remarks>Nothing is kept of a tensor once it is observed.</remarks>
[Cmdlet(VerbsLifecycle.Invoke, "Calibration")]
[OutputType(typeof(Calibration))]
public sealed class InvokeCalibrationCommand : TensorInputCmdlet
{
    private Calibrator? calibrator;
    private ProgressReporter? progress;

    /// <summary>The float model, or the path of its .onnx file.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    [Model]
    public QModel Model { get; set; } = null!;

    /// <summary>The observers and the engine: a QConfig, or the name of a preset. x86 by default.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNull]
    [QConfig]
    [ArgumentCompleter(typeof(QConfigCompleter))]
    public QConfig QConfig { get; set; } = QConfigPresets.Default;

    /// <inheritdoc/>
    protected override void Begin()
    {
        // A model that cannot be quantized is one bad item: a script over a folder of models goes on with the next.
        Guard(() =>
        {
            calibrator = new Calibrator(Model.Onnx, QConfig, settings: new SessionSettings { Cancellation = Cancellation });
            foreach (AppliedPass pass in calibrator.Plan.Model.Preparation)
                WriteVerbose($"Prepared '{Model.Name}': {pass}.");
            foreach (var node in calibrator.Plan.Nodes.Where(n => !n.IsQuantized))
                WriteVerbose($"'{node.Name}' ({node.OpType}) stays float: {node.Reason}.");
        }, Model);
        progress = new ProgressReporter(this, $"Calibrating {Model.Name}", "samples");
    }

    /// <inheritdoc/>
    internal override void ProcessSample(ModelSample sample)
    {
        if (calibrator is null)
            return;
        long before = calibrator.SampleCount;
        calibrator.Observe(sample);
        progress!.Total ??= sample.SequenceLength;
        progress.Advance(calibrator.SampleCount - before);
    }

    /// <inheritdoc/>
    protected override void End()
    {
        progress?.Dispose();
        if (calibrator is not null)
            WriteObject(new Calibration(Model, calibrator.Finish()));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        calibrator?.Dispose();
        base.Dispose(disposing);
    }
}
