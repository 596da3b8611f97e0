using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Benchmarks.Peers;

/// <summary>A graph in ONNX Runtime, its inputs and its output bound to memory of ours.</summary>
internal abstract class OrtBound : IDisposable
{
    private readonly RunOptions options = new();
    private OrtValue[] values = [];
    private InferenceSession? session;
    private OrtIoBinding? binding;

    public void Run() => session!.RunWithBinding(options, binding!);

    public void Dispose()
    {
        binding?.Dispose();
        Array.ForEach(values, v => v.Dispose());
        options.Dispose();
        session?.Dispose();
    }

    /// <param name="graph">Operator set 13, com.microsoft 1.</param>
    /// <param name="inputs">In the graph's order; owned from here on, as is the output.</param>
    /// <param name="output">The only one.</param>
    /// <param name="threads">Intra-op.</param>
    protected void Bind(GraphProto graph, OrtValue[] inputs, OrtValue output, int threads)
    {
        ModelProto model = new() { IrVersion = 8, Graph = graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Version = 13 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        using SessionOptions settings = new() { IntraOpNumThreads = threads, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        session = new InferenceSession(OnnxModel.FromProto(model, graph.Name).ToBytes(), settings);
        values = [.. inputs, output];
        binding = session.CreateIoBinding();
        for (int i = 0; i < inputs.Length; i++)
            binding.BindInput(graph.Input[i].Name, inputs[i]);
        binding.BindOutput(graph.Output[0].Name, output);
    }
}
