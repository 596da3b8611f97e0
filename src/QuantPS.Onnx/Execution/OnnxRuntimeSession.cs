using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution.Native;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace QuantPS.Onnx.Execution;

/// <summary>How a model is run by ONNX Runtime.</summary>
public sealed record SessionSettings
{
    /// <summary>Threads inside an operator; 0 means one per core.</summary>
    public int IntraOpThreads { get; init; }

    /// <summary>Let idle threads wait for work in a loop. Faster for a session on its own; sessions that take turns steal each other's time by it.</summary>
    public bool Spin { get; init; } = true;

    /// <summary>Let ONNX Runtime print its warnings to standard error.</summary>
    public bool Warnings { get; init; }

    /// <summary>Rewrite the graph for speed before running. Off shows the graph as it is.</summary>
    public bool Optimize { get; init; } = true;

    /// <summary>Products of unsigned activations by signed weights are exact on processors without VNNI too, as they are on all others; in bodies of If and the
    /// like, and of signed activations, ONNX Runtime has no such thing. Off leaves ONNX Runtime its faster
    /// instruction there, which adds two neighboring products with saturation to 16 bits.</summary>
    public bool ExactProducts { get; init; } = true;

    /// <summary>Bytes of a model up to which it is serialized whole for ONNX Runtime; of a larger one the weights are used where they lie.</summary>
    public long MostSerialized { get; init; } = 256L << 20;

    /// <summary>Ends a run between two of its operators.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Where ONNX Runtime shall write the graph that it made of the model; null for nowhere.</summary>
    public string? OptimizedModelPath { get; init; }

    /// <summary>An operator of our own that the model has nodes of; must outlive the session.</summary>
    internal ObserveOperator? Observe { get; init; }
}

/// <summary>Looks at an output in ONNX Runtime's own buffer, which is gone when the visitor returns.</summary>
/// <param name="name">Name of the value.</param>
/// <param name="data">float32, row-major.</param>
/// <param name="shape">Its shape.</param>
public delegate void OutputVisitor(string name, ReadOnlySpan<float> data, ReadOnlySpan<int> shape);

/// <summary>A model loaded into ONNX Runtime. Any value of the graph can be an output. Thread-safe to run; dispose it to free the native
/// session.</summary>
public sealed class OnnxRuntimeSession : IDisposable
{
    private static readonly Lock EnvironmentLock = new();
    private readonly InferenceSession session;
    private readonly WeightsInPlace? weights;
    private readonly string where, what;
    private readonly CancellationToken cancellation;

    /// <param name="model">The model; not kept.</param>
    /// <param name="extraOutputs">Values of the graph to give besides its own outputs.</param>
    /// <param name="settings">Threads and warnings.</param>
    /// <exception cref="QuantException">InvalidModel, UnsupportedOperator: ONNX Runtime refuses the model; its words are in the message.</exception>
    public OnnxRuntimeSession(OnnxModel model, IEnumerable<string>? extraOutputs = null, SessionSettings? settings = null)
    {
        settings ??= new();
        where = model.Path ?? model.Name;
        what = model.IsQuantizedForm ? $"the quantized form of '{where}'" : $"'{where}'";
        cancellation = settings.Cancellation;
        EnsureEnvironment();
        string[] extra = [.. (extraOutputs ?? []).Where(v => !model.Graph.IsOutput(v)).Distinct()];
        using SessionOptions options = new()
        {
            IntraOpNumThreads = settings.IntraOpThreads,
            LogSeverityLevel = settings.Warnings ? OrtLoggingLevel.ORT_LOGGING_LEVEL_WARNING : OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL,
            GraphOptimizationLevel = settings.Optimize ? GraphOptimizationLevel.ORT_ENABLE_ALL : GraphOptimizationLevel.ORT_DISABLE_ALL,
        };
        if (!settings.Spin)
            options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        if (settings.OptimizedModelPath is string path)
            options.OptimizedModelFilePath = path;
        settings.Observe?.AddTo(options);
        try
        {
            ModelProto proto = WithOutputs(model, extra);
            if (model.SizeBytes > settings.MostSerialized)
                weights = new WeightsInPlace(proto = ReferenceEquals(proto, model.Proto) ? proto.Clone() : proto, options);
            session = Load(proto.ToByteArray(), options, settings.ExactProducts);
        }
        catch (OnnxRuntimeException e)
        {
            weights?.Dispose();
            // ONNX Runtime's error codes do not tell these apart from broken models.
            string[] unsupported = ["NOT_IMPLEMENTED", "No Op registered", "not a registered function/op"];
            string id = unsupported.Any(u => e.Message.Contains(u, StringComparison.OrdinalIgnoreCase)) ? ErrorIds.UnsupportedOperator
                : ErrorIds.InvalidModel;
            throw new QuantException(id, $"ONNX Runtime cannot load {what}: {e.Message}", where, e);
        }
        Inputs = new ModelInputs(where, [.. model.Graph.Inputs.Select(i => TypeOf(i.Name, session.InputMetadata[i.Name]))]);
        Outputs = [.. session.OutputNames.Select(n => TypeOf(n, session.OutputMetadata[n]))];
    }

    private static InferenceSession Load(byte[] model, SessionOptions options, bool exactProducts)
    {
        const string Exact = "session.x64quantprecision";
        if (exactProducts)
        {
            options.AddSessionConfigEntry(Exact, "1");
            try
            {
                return new InferenceSession(model, options);
            }
            catch (OnnxRuntimeException)
            {
                // It makes weights unsigned for that, also in QGemm of signed activations, where it has no kernel for it. If that was not the reason, the
                // model says so once more.
                options.AddSessionConfigEntry(Exact, "0");
            }
        }
        return new InferenceSession(model, options);
    }

    /// <summary>The inputs that have to be given.</summary>
    public ModelInputs Inputs { get; }

    /// <summary>The model's outputs, then the extra ones.</summary>
    public IReadOnlyList<ValueType> Outputs { get; }

    /// <summary>Runs the model and shows each output to the visitor, without copying.</summary>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument (an input is missing or unknown), UnsupportedDType, InferenceFailed.</exception>
    public void Run(IReadOnlyDictionary<string, Tensor> inputs, IReadOnlyList<string> outputs, OutputVisitor visitor) =>
        RunChecked(inputs, outputs, results =>
    {
        for (int i = 0; i < outputs.Count; i++)
            visitor(outputs[i], FloatsOf(results[i], outputs[i]), ShapeOf(results[i]));
    });

    /// <summary>Runs the model and copies the wanted outputs.</summary>
    /// <param name="inputs">A tensor for every input.</param>
    /// <param name="outputs">Names of the outputs to give; all when null.</param>
    public IReadOnlyDictionary<string, Tensor> Run(IReadOnlyDictionary<string, Tensor> inputs, IReadOnlyList<string>? outputs = null)
    {
        Dictionary<string, Tensor> results = new(StringComparer.Ordinal);
        string? source = inputs.Values.FirstOrDefault()?.Source;
        Run(inputs, outputs ?? [.. Outputs.Select(o => o.Name)], (name, data, shape) =>
        {
            Tensor t = new(shape.ToArray(), new AlignedBuffer<float>(data.Length).Memory) { Name = name, Source = source };
            data.CopyTo(t.Span);
            results[name] = t;
        });
        return results;
    }

    /// <summary>Runs a model with a single input.</summary>
    public IReadOnlyDictionary<string, Tensor> Run(Tensor input, IReadOnlyList<string>? outputs = null) => Run(Inputs.Named(input), outputs);

    /// <summary>Runs the model and gives outputs of any type.</summary>
    /// <returns>As <see cref="ModelPlan.Run(Tensor)"/>.</returns>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument, UnsupportedDType, InferenceFailed.</exception>
    public IReadOnlyDictionary<string, object> RunAnyType(ModelSample sample, OnnxModel model)
    {
        Dictionary<string, object> made = new(StringComparer.Ordinal);
        string[] names = [.. Outputs.Select(o => o.Name)];
        RunChecked(sample.For(Inputs), names, results =>
        {
            for (int i = 0; i < names.Length; i++)
                made[names[i]] = OutputValues.ToObject(GraphValue.View(results[i], names[i]), model, names[i], sample.Source);
        });
        return made;
    }

    public void Dispose()
    {
        session.Dispose();
        weights?.Dispose();
    }

    /// <summary>Checks the inputs, runs, and hands over ONNX Runtime's own values, which are freed afterwards.</summary>
    internal void RunChecked(IReadOnlyDictionary<string, Tensor> inputs, IReadOnlyList<string> outputs, Action<IReadOnlyList<OrtValue>> use)
    {
        Inputs.Check(inputs);
        List<OrtValue> values = [];
        try
        {
            foreach (ValueType input in Inputs.Types)
            {
                GraphValue value = InputValues.Create(inputs[input.Name], input);
                if (value.Native is { } native)
                    values.Add(native);
                else
                    value.ToOrt(values);
            }
            using IDisposableReadOnlyCollection<OrtValue> results = RunValues([.. Inputs.Types.Select(i => i.Name)], values, outputs);
            use(results);
        }
        finally
        {
            values.ForEach(v => v.Dispose());
        }
    }

    /// <summary>Runs on ONNX Runtime's own values, of any element type.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal IDisposableReadOnlyCollection<OrtValue> RunValues(IReadOnlyCollection<string> names, IReadOnlyCollection<OrtValue> values,
        IReadOnlyCollection<string> outputs)
    {
        using RunOptions options = new();
        return Guarded(options, () => session.Run(options, names, values, outputs));
    }

    /// <summary>A place for inputs and outputs that are given once for many runs; the caller disposes it.</summary>
    internal OrtIoBinding CreateBinding() => session.CreateIoBinding();

    /// <summary>Runs on what is bound.</summary>
    /// <exception cref="QuantException">InferenceFailed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal void Run(OrtIoBinding binding, RunOptions options) => Guarded(options, () =>
    {
        session.RunWithBinding(options, binding);
        return true;
    });

    private T Guarded<T>(RunOptions options, Func<T> run)
    {
        cancellation.ThrowIfCancellationRequested();
        using CancellationTokenRegistration stopping = cancellation.Register(() => options.Terminate = true);
        try
        {
            return run();
        }
        catch (OnnxRuntimeException) when (cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellation);
        }
        catch (OnnxRuntimeException e)
        {
            throw new QuantException(ErrorIds.InferenceFailed, $"ONNX Runtime cannot run {what}: {e.Message}", where, e);
        }
    }

    /// <summary>A view on the tensor's memory, which stays pinned until the value is disposed.</summary>
    internal static OrtValue ToOrt(Tensor tensor) =>
        OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, tensor.Memory, Array.ConvertAll(tensor.Shape, d => (long)d));

    internal static int[] ShapeOf(OrtValue value) => Array.ConvertAll(value.GetTensorTypeAndShape().Shape, d => checked((int)d));

    private static ReadOnlySpan<float> FloatsOf(OrtValue value, string name)
    {
        if (!value.IsTensor || value.GetTensorTypeAndShape().ElementDataType != TensorElementType.Float)
            throw new QuantException(ErrorIds.UnsupportedDType, $"The value '{name}' is not a float32 tensor.", name);
        return value.GetTensorDataAsSpan<float>();
    }

    private static ModelProto WithOutputs(OnnxModel model, string[] extra)
    {
        if (extra.Length == 0)
            return model.Proto;
        ModelProto copy = model.Proto.Clone();
        // Without a type: ONNX Runtime infers it.
        copy.Graph.Output.AddRange(extra.Select(v => new ValueInfoProto { Name = v }));
        return copy;
    }

    private static ValueType TypeOf(string name, NodeMetadata metadata) => metadata.IsTensor
        ? new ValueType(name, (TensorProto.Types.DataType)(int)metadata.ElementDataType, metadata.Dimensions, metadata.SymbolicDimensions)
        : new ValueType(name, TensorProto.Types.DataType.Undefined, [], []);

    /// <summary>The process-wide environment prints warnings unless it is made otherwise, and it is made once.</summary>
    private static void EnsureEnvironment()
    {
        lock (EnvironmentLock)
        {
            if (OrtEnv.IsCreated)
                return;
            EnvironmentCreationOptions options = new() { logId = "QuantPS", logLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
            OrtEnv.CreateInstanceWithOptions(ref options);
        }
    }
}
