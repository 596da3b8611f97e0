using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Execution.Native;
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
    // The values that are looked at while the model runs, and whoever looks at them.
    private readonly (string Value, Observer Observer, Observer? Channels)[] watched;
    private readonly int[] blocks;
    private readonly ObserveOperator watcher;
    private readonly string[] outputs;
    // PyTorch's eager mode adds the observer of a fused ConvReLU or LinearReLU as a further module of that Sequential and hooks it to the
    // Sequential's output as well (torch/ao/quantization/quantize.py add_observer_), so it sees every batch twice. Only moving averages notice.
    private readonly HashSet<string> seenTwice;
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
        observers = plan.Observed.Where(v => plan.FixedOutput(v, config) is null)
            .ToDictionary(v => v, v => plan.ConfigOf(v, config).Activation.Create(), StringComparer.Ordinal);
        channels = ChannelEqualization.Watched(plan, config).Where(w => observers.ContainsKey(w.Value))
            .ToDictionary(w => w.Value, w => ChannelEqualization.CreateObserver(w.Axis), StringComparer.Ordinal);
        seenTwice = config.Backend == EngineKind.OnnxRuntime ? [] : [.. plan.Nodes
            .Where(n => n is { Operator: WeightOperator, FusedActivation: not null } && n.Range.IsRelu && observers.TryGetValue(n.Output, out Observer? o) && !o.IsIdempotent)
            .Select(n => n.Output)];
        string[] present = [.. observers.Keys.Where(v => plan.Model.Graph.Producer(v) is not null || plan.Model.Graph.Inputs.Any(i => i.Name == v))];
        watched = [.. present.Select(v => (v, observers[v], channels.GetValueOrDefault(v)))];
        settings ??= new();
        // By itself ONNX Runtime takes the cores for threads of fewer on some machines, and the observers share the session's threads.
        if (settings.IntraOpThreads == 0)
            settings = settings with { IntraOpThreads = Environment.ProcessorCount };
        watcher = new ObserveOperator(Watch, settings.IntraOpThreads);
        try
        {
            (OnnxModel observed, settings, blocks) = ObservedGraph.Create(plan.Model, present, v => !observers[v].DependsOnOrder, SizeOf, settings);
            session = new OnnxRuntimeSession(observed, settings: settings with { Observe = watcher });
            outputs = [observed.Graph.Outputs[0].Name];
        }
        catch
        {
            watcher.Dispose();
            throw;
        }
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
        watcher.ForgetFailure();
        try
        {
            session.RunChecked(batch, outputs, _ => { });
        }
        catch (QuantException e) when (watcher.Failure is Exception failure)
        {
            throw failure is QuantException own ? new QuantException(own.ErrorId, own.Message, own.Target ?? batch.Values.First(), own) : e;
        }
        // Now that the whole batch is known to be good: it counts as a whole or not at all.
        foreach ((string value, Observer observer, Observer? channels) in watched)
        {
            observer.Commit(seenTwice.Contains(value) ? 2 : 1);
            channels?.Commit();
        }
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

    public void Dispose()
    {
        session.Dispose();
        watcher.Dispose();
    }

    /// <summary>Looks at a value in the middle of the run.</summary>
    private void Watch(int index, ReadOnlySpan<float> data, ReadOnlySpan<int> shape, IWorkSharing? threads)
    {
        (string value, Observer observer, Observer? channels) = watched[index];
        // The extremes of the channels are those of the whole.
        ValueRange? known = channels?.Prepare(data, shape, threads, block: blocks[index]);
        ValueRange range = observer.Prepare(data, shape, threads, known, blocks[index]);
        if (!range.IsFinite && !data.IsEmpty)
        {
            throw new QuantException(float.IsNaN(range.Min) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
                $"For this sample the model itself computes NaN or infinity in '{value}'. Drop the sample, or check the model.");
        }
    }

    /// <summary>Elements of a value for one sample, as far as the model tells.</summary>
    private long SizeOf(string value) => plan.Types[value] is { Rank: > 0 } type ? type.Dims.Aggregate(1L, (n, d) => n * Math.Max(d, 1)) : long.MaxValue / 2;
}
