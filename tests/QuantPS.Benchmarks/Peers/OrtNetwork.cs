using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Benchmarks.Peers;

/// <summary>A whole network in ONNX Runtime, its input bound to memory of ours, its outputs to its own.</summary>
internal sealed class OrtNetwork : IDisposable
{
    private readonly RunOptions options = new();
    private readonly InferenceSession session;
    private readonly OrtIoBinding binding;
    private readonly OrtValue input;

    /// <param name="model">The network.</param>
    /// <param name="x">Its input.</param>
    /// <param name="threads">Threads of an operator.</param>
    /// <param name="exact">Products of 8-bit integers are to be exact; else CPUs without VNNI saturate pairs of them.</param>
    public OrtNetwork(OnnxModel model, Tensor x, int threads, bool exact = false)
    {
        using SessionOptions settings = new() { IntraOpNumThreads = threads, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        if (exact)
            settings.AddSessionConfigEntry("session.x64quantprecision", "1");
        session = new InferenceSession(model.ToBytes(), settings);
        input = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, x.Memory, Array.ConvertAll(x.Shape, d => (long)d));
        binding = session.CreateIoBinding();
        binding.BindInput(session.InputNames[0], input);
        binding.BindOutputToDevice(session.OutputNames[0], OrtMemoryInfo.DefaultInstance);
    }

    public void Run() => session.RunWithBinding(options, binding);

    /// <summary>The first output of the last run.</summary>
    public float[] Output()
    {
        using IDisposableReadOnlyCollection<OrtValue> values = binding.GetOutputValues();
        return values[0].GetTensorDataAsSpan<float>().ToArray();
    }

    public void Dispose()
    {
        binding.Dispose();
        input.Dispose();
        options.Dispose();
        session.Dispose();
    }
}
