using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Calibration;

/// <summary>Runs the float model batch by batch and lets observers watch the values that are to be quantized. Nothing is kept of a batch.</summary>
/// <remarks>Observers look at ONNX Runtime's own buffers. Not thread-safe: one batch at a time.</remarks>
public sealed class Calibrator : IDisposable
{
    private readonly OnnxModel original;
    private readonly QConfig config;
    private readonly QuantizationPlan plan;
    private readonly Dictionary<string, Observer> observers, channels;
    private readonly OnnxRuntimeSession session;
    private readonly string[] watched;
    // What ONNX Runtime computes of it: the value, and the output that has its elements.
    private readonly (string Value, string Output)[] outputs;
    private readonly string[] outputNames;
    // PyTorch's eager mode adds the observer of a fused ConvReLU or LinearReLU as a further module of that Sequential and hooks it to the
    // Sequential's output as well (torch/ao/quantization/quantize.py add_observer_), so it sees every batch twice. Only moving averages notice.
    private readonly HashSet<string> seenTwice;
    private readonly ParallelOptions parallel;
    private long samples, batches;

    /// <param name="model">The float model; not changed.</param>
    /// <param name="config">The observers to use.</param>
    /// <param name="passes">Rewrites of the float graph; the registry's by default.</param>
    /// <param name="settings">How to run the float model; cancelled in the middle of a batch, the statistics are of no more use.</param>
    /// <exception cref="QuantException">NothingToQuantize, InvalidModel, UnsupportedOperator, UnknownObserver. LayerNotFound: a pattern that matches nothing.</exception>
    public Calibrator(OnnxModel model, QConfig config, IEnumerable<GraphPass>? passes = null, SessionSettings? settings = null)
    {
        original = model;
        this.config = config;
        plan = new QuantizationPlan(PassRegistry.Apply(model, passes), config);
        watched = [.. plan.Observed.Where(v => plan.FixedOutput(v, config) is null)];
        observers = watched.ToDictionary(v => v, v => plan.ConfigOf(v, config).Activation.Create(), StringComparer.Ordinal);
        channels = ChannelEqualization.Candidates(plan, config).Where(observers.ContainsKey)
            .ToDictionary(v => v, _ => ChannelEqualization.CreateObserver(), StringComparer.Ordinal);
        seenTwice = config.Backend == EngineKind.OnnxRuntime ? [] : [.. plan.Nodes
            .Where(n => n is { Operator: WeightOperator, FusedActivation: not null } && n.Range.IsRelu && observers.TryGetValue(n.Output, out Observer? o) && !o.IsIdempotent)
            .Select(n => n.Output)];
        parallel = new ParallelOptions { CancellationToken = settings?.Cancellation ?? default };
        string[] computed = [.. watched.Where(v => plan.Model.Graph.Producer(v) is not null)];
        settings = (settings ?? new()) with { SpinBetweenRuns = false };
        BlockedOutputs? blocked = BlockedOutputs.Find(plan.Model, [.. computed.Where(v => !observers[v].DependsOnOrder && !channels.ContainsKey(v))], computed, settings);
        outputs = [.. computed.Select(v => (v, blocked?.Names.GetValueOrDefault(v) ?? v))];
        outputNames = [.. outputs.Select(o => o.Output)];
        session = blocked is null ? new OnnxRuntimeSession(plan.Model, computed, settings)
            : new OnnxRuntimeSession(blocked.Model, settings: settings with { Optimize = false });
    }

    /// <summary>What will be quantized.</summary>
    public QuantizationPlan Plan => plan;

    /// <summary>The inputs that a batch has to fit.</summary>
    public ModelInputs Inputs => session.Inputs;

    /// <summary>Samples seen so far.</summary>
    public long SampleCount => samples;

    /// <summary>Observes a batch, or a single sample (one dimension less).</summary>
    /// <exception cref="QuantException">ShapeMismatch, NotANumber, NotFinite (an infinity; nothing was observed of the batch), InferenceFailed.</exception>
    public void Observe(ModelSample batch) => Observe(batch.For(Inputs));

    /// <summary>Observes a batch of a model with several inputs.</summary>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument, NotANumber, NotFinite, InferenceFailed.</exception>
    public void Observe(IReadOnlyDictionary<string, Tensor> batch)
    {
        foreach ((string name, Tensor tensor) in batch)
        {
            int bad = tensor.FirstNonFinite();
            if (bad >= 0)
                throw new QuantException(float.IsNaN(tensor.Span[bad]) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
                    $"The tensor{(tensor.Source is null ? $" for '{name}'" : $" from {tensor.Source}")} holds {tensor.Span[bad]} at position {bad}. "
                    + "Calibration needs finite values; drop or repair this sample.", tensor);
        }
        session.RunChecked(batch, outputNames, results =>
        {
            // First all checks, then all observations: a batch counts as a whole or not at all.
            ValueRange[] ranges = new ValueRange[outputs.Length];
            int[][] shapes = new int[outputs.Length][];
            for (int i = 0; i < shapes.Length; i++)
                shapes[i] = OnnxRuntimeSession.ShapeOf(results[i]);
            // The largest first, so that the cores are done at about the same time.
            int[] order = [.. Enumerable.Range(0, shapes.Length).OrderByDescending(i => TensorShape.Count(shapes[i]))];
            InParallel(outputs.Length, parallel, k =>
            {
                int i = order[k];
                ranges[i] = observers[outputs[i].Value].Scan(results[i].GetTensorDataAsSpan<float>());
            });
            if (Array.FindIndex(ranges, r => !r.IsFinite && r.Min <= r.Max || float.IsNaN(r.Min)) is int bad and >= 0)
            {
                throw new QuantException(float.IsNaN(ranges[bad].Min) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
                    $"For this sample the model itself computes NaN or infinity in '{outputs[bad].Value}'. Drop the sample, or check the model.", batch.Values.First());
            }
            (Observer Observer, Tensor Tensor)[] given = [.. batch.Where(b => observers.ContainsKey(b.Key)).Select(b => (observers[b.Key], b.Value))];
            InParallel(given.Length + outputs.Length, new ParallelOptions(), k =>
            {
                if (k < given.Length)
                {
                    given[k].Observer.Observe(given[k].Tensor);
                    return;
                }
                int i = order[k - given.Length];
                string value = outputs[i].Value;
                Observer observer = observers[value];
                int[] shape = shapes[i];
                observer.ObserveScanned(results[i].GetTensorDataAsSpan<float>(), shape);
                channels.GetValueOrDefault(value)?.Observe(results[i].GetTensorDataAsSpan<float>(), shape);
                if (seenTwice.Contains(value))
                    observer.Observe(results[i].GetTensorDataAsSpan<float>(), shape, ranges[i]);
            });
        });
        samples += Inputs.SampleCount(batch);
        batches++;
    }

    /// <summary>What was observed. Observing may go on afterwards; the data then sees it too.</summary>
    /// <exception cref="QuantException">NeverObserved: no batch was observed.</exception>
    public CalibrationData Finish()
    {
        if (batches == 0)
            throw new QuantException(ErrorIds.NeverObserved, $"'{original.Name}' was calibrated with no data at all. Pipe in samples of what the model will see.", original);
        return new CalibrationData
        {
            Original = original,
            QConfig = config,
            Plan = plan,
            Observers = observers,
            Channels = channels,
            SampleCount = samples,
            BatchCount = batches,
        };
    }

    public void Dispose() => session.Dispose();

    /// <summary>Observers share nothing, so each value may be looked at on its own core, with the same result.</summary>
    private static void InParallel(int count, ParallelOptions options, Action<int> look)
    {
        try
        {
            // One at a time to whoever is free: ranges, as the default hands them out, would keep the large ones together.
            int next = -1;
            Parallel.For(0, Math.Min(count, Environment.ProcessorCount), options, _ =>
            {
                for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                {
                    options.CancellationToken.ThrowIfCancellationRequested();
                    look(i);
                }
            });
        }
        catch (AggregateException e) when (e.InnerException is QuantException first)
        {
            throw new QuantException(first.ErrorId, first.Message, first.Target, e);
        }
    }
}
