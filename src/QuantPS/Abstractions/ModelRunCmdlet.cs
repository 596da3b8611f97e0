using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Models;

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
        runner = ((IRunnable)Model).CreateRunner(Runtime);
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
    protected int SampleCount(Tensor input) => runner!.SampleCount(input);

    /// <summary>Runs the model; outputs as float32.</summary>
    protected IReadOnlyList<Tensor> Run(Tensor input) => runner!.Run(input);

    /// <summary>Runs the model; outputs as they are, a Tensor or a QuantizedTensor each.</summary>
    protected IReadOnlyList<object> RunAnyType(Tensor input) => runner!.RunAnyType(input);

    /// <summary>Counts samples as done.</summary>
    protected void Advance(Tensor input)
    {
        progress!.Total ??= input.SequenceLength;
        progress.Advance(SampleCount(input));
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
