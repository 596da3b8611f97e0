using System.Diagnostics;
using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Models;

namespace QuantPS.Commands;

/// <summary>Measure-QModel: top-1 accuracy and latency of a model on tensors from the pipeline. One measurement at the end.</summary>
[Cmdlet(VerbsDiagnostic.Measure, "QModel")]
[OutputType(typeof(ModelMeasurement))]
public sealed class MeasureQModelCommand : ModelRunCmdlet
{
    private readonly List<double> milliseconds = [];
    private int[]? labels;
    private long samples;
    private long failed;
    private long right;
    private int batchSize;

    /// <summary>The class of every sample, in the order of the pipeline: integers, or the path of a file of them (.npy, idx, .csv).</summary>
    [Parameter(Position = 1)]
    [AllowNull]
    public object? Labels { get; set; }

    /// <inheritdoc/>
    protected override string Activity => "Measuring";

    /// <inheritdoc/>
    protected override void Begin()
    {
        labels = Labels is null ? null : LabelReader.Read(this, Labels);
        base.Begin();
    }

    /// <inheritdoc/>
    internal override void ProcessSample(ModelSample sample)
    {
        int count = SampleCount(sample);
        // A sample that fails keeps its place, so that the labels of the others stay theirs.
        long first = samples + failed;
        if (labels is not null && first + count > labels.Length)
            throw new QuantException(ErrorIds.LabelMismatch, $"{sample} is sample {first} to {first + count - 1}, but there are only {labels.Length} labels. Give a label for every sample.", sample.Tensors.First());
        IReadOnlyList<Tensor> outputs;
        long start = Stopwatch.GetTimestamp();
        try
        {
            outputs = Run(sample);
        }
        catch
        {
            failed += count;
            throw;
        }
        milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds / count);
        if (labels is not null)
        {
            int[] classes = outputs[0].ArgMax();
            if (classes.Length != count)
                throw new QuantException(ErrorIds.LabelMismatch, $"The output '{outputs[0].Name}' [{TensorShape.Format(outputs[0].Dims)}] does not have one row for each of {count} samples; top-1 needs [N, classes]. Leave out -Labels.", sample.Tensors.First());
            for (int i = 0; i < count; i++)
                right += classes[i] == labels[first + i] ? 1 : 0;
        }
        samples += count;
        batchSize = Math.Max(batchSize, count);
        Advance(sample);
    }

    /// <inheritdoc/>
    protected override void End()
    {
        base.End();
        if (samples == 0)
            return;
        milliseconds.Sort();
        int middle = milliseconds.Count / 2;
        WriteObject(new ModelMeasurement
        {
            Model = Model.Name,
            Arithmetic = Model is QuantizedModel q ? Spellings.PyTorch(q.QConfig.Backend) : ((QModel)Model).Arithmetic,
            Runtime = RuntimeUsed,
            Samples = samples,
            Top1 = labels is null ? null : 100.0 * right / samples,
            LatencyMs = milliseconds.Count % 2 == 1 ? milliseconds[middle] : (milliseconds[middle - 1] + milliseconds[middle]) / 2,
            BatchSize = batchSize,
        });
    }
}
