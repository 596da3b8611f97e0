using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;
using Tensor = QuantPS.Engine.Tensors.Tensor;
using ValueType = QuantPS.Onnx.Execution.ValueType;

namespace QuantPS.Benchmarks.Peers;

/// <summary>A whole network in ONNX Runtime, its inputs bound to memory of ours, its outputs to its own.</summary>
internal sealed class OrtNetwork : IDisposable
{
    private readonly RunOptions options = new();
    private readonly OnnxModel model;
    private readonly InferenceSession session;
    private readonly OrtIoBinding binding;
    private readonly List<OrtValue> inputs = [];

    /// <param name="model">The network.</param>
    /// <param name="given">Its inputs, each with its type.</param>
    /// <param name="threads">Threads of an operator.</param>
    /// <param name="exact">Products of 8-bit integers are to be exact; else CPUs without VNNI saturate pairs of them.</param>
    public OrtNetwork(OnnxModel model, IReadOnlyList<(ValueType Type, Tensor Value)> given, int threads, bool exact = false)
    {
        this.model = model;
        using SessionOptions settings = new() { IntraOpNumThreads = threads, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        if (exact)
            settings.AddSessionConfigEntry("session.x64quantprecision", "1");
        session = new InferenceSession(model.ToBytes(), settings);
        binding = session.CreateIoBinding();
        foreach ((ValueType type, Tensor x) in given)
        {
            GraphValue value = InputValues.Create(x, type);
            OrtValue input = value.ToOrt(inputs);
            if (value.Native is not null)
                inputs.Add(input);
            binding.BindInput(type.Name, input);
        }
        foreach (string name in session.OutputNames)
            binding.BindOutputToDevice(name, OrtMemoryInfo.DefaultInstance);
    }

    public void Run() => session.RunWithBinding(options, binding);

    /// <summary>The first output of the last run, as this module gives outputs to its callers.</summary>
    public object Output()
    {
        using IDisposableReadOnlyCollection<OrtValue> values = binding.GetOutputValues();
        return OutputValues.ToObject(GraphValue.View(values[0], session.OutputNames[0]), model, session.OutputNames[0], null);
    }

    public void Dispose()
    {
        binding.Dispose();
        inputs.ForEach(x => x.Dispose());
        options.Dispose();
        session.Dispose();
    }
}
