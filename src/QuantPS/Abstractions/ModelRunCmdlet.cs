using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Execution;

namespace QuantPS.Abstractions;

/// <summary>Puts tensors from the pipeline through a model.</summary>
public abstract class ModelRunCmdlet : TensorInputCmdlet
{
    private ModelRunner? runner;
    private ProgressReporter? progress;

    /// <summary>A QModel or a QuantizedModel, or the path of an .onnx file.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    [Model]
    public IModel Model { get; set; } = null!;

    /// <summary>QuantPS (the default): our int8 kernels. OnnxRuntime: the same model there, a quantized one in its QDQ form.</summary>
    [Parameter]
    public ModelRuntime Runtime { get; set; } = ModelRuntime.QuantPS;

    /// <summary>What the progress bar says.</summary>
    protected abstract string Activity { get; }

    /// <inheritdoc/>
    protected override void Begin()
    {
        runner = ((IRunnable)Model).CreateRunner(Runtime, new SessionSettings { Cancellation = Cancellation });
        progress = new ProgressReporter(this, $"{Activity} {Model.Name}", "samples");
        if (Model is QuantizedModel quantized && Runtime == ModelRuntime.QuantPS)
        {
            foreach (QuantizedWeightLayer layer in quantized.Layers)
                WriteVerbose($"{layer}: kernel {layer.KernelName}");
        }
    }

    /// <summary>Where it runs: a float model has nothing for our kernels, whatever was asked for.</summary>
    protected ModelRuntime RuntimeUsed => runner is OnnxRuntimeRunner ? ModelRuntime.OnnxRuntime : ModelRuntime.QuantPS;

    /// <summary>Samples in a tensor.</summary>
    internal int SampleCount(ModelSample sample) => runner!.SampleCount(sample);

    /// <summary>Runs the model; outputs as float32.</summary>
    internal IReadOnlyList<Tensor> Run(ModelSample sample) => runner!.Run(sample);

    /// <summary>Runs the model; outputs as they are, a Tensor or a QuantizedTensor each.</summary>
    internal IReadOnlyList<object> RunAnyType(ModelSample sample) => runner!.RunAnyType(sample);

    /// <summary>Counts samples as done.</summary>
    internal void Advance(ModelSample sample)
    {
        progress!.Total ??= sample.SequenceLength;
        progress.Advance(SampleCount(sample));
    }

    /// <inheritdoc/>
    protected override void End() => progress?.Dispose();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        runner?.Dispose();
        base.Dispose(disposing);
    }
}
