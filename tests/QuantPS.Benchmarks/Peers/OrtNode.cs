using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Peers;

/// <summary>A model of one node in ONNX Runtime, bound to memory of ours.</summary>
internal sealed class OrtNode : IDisposable
{
    private readonly InferenceSession session;
    private readonly OrtIoBinding binding;
    private readonly RunOptions options = new();
    private readonly List<OrtValue> values = [];

    /// <param name="node">Its inputs are x, y, ... where <paramref name="inputs"/> has them, else names of <paramref name="constants"/>.</param>
    /// <param name="inputs">Name, shape, and a byte[] or float[].</param>
    /// <param name="output">Shape, and a byte[] or float[].</param>
    /// <param name="constants">Scalars: float or byte.</param>
    /// <param name="threads">Intra-op.</param>
    public OrtNode(NodeProto node, (string Name, int[] Shape, Array Data)[] inputs, (int[] Shape, Array Data) output, (string Name, object Value)[] constants, int threads)
    {
        GraphProto graph = new() { Name = "node" };
        foreach ((string name, int[] shape, Array data) in inputs)
            graph.Input.Add(Nodes.Value(name, TypeOf(data), [.. shape.Cast<object>()]));
        graph.Output.Add(Nodes.Value(node.Output[0], TypeOf(output.Data), [.. output.Shape.Cast<object>()]));
        foreach ((string name, object value) in constants)
        {
            graph.Initializer.Add(value is float f
                ? TensorProtos.Create(name, DataType.Float, MemoryMarshal.AsBytes<float>(new[] { f }), [])
                : TensorProtos.Create(name, DataType.Uint8, [(byte)value], []));
        }
        graph.Node.Add(node);
        ModelProto model = new() { IrVersion = 8, Graph = graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Version = 13 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        using SessionOptions settings = new() { IntraOpNumThreads = threads, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        session = new InferenceSession(OnnxModel.FromProto(model, "node").ToBytes(), settings);
        binding = session.CreateIoBinding();
        foreach ((string name, int[] shape, Array data) in inputs)
            binding.BindInput(name, Wrap(shape, data));
        binding.BindOutput(node.Output[0], Wrap(output.Shape, output.Data));
    }

    public void Run() => session.RunWithBinding(options, binding);

    public void Dispose()
    {
        binding.Dispose();
        values.ForEach(v => v.Dispose());
        options.Dispose();
        session.Dispose();
    }

    private static DataType TypeOf(Array data) => data is float[] ? DataType.Float : DataType.Uint8;

    private OrtValue Wrap(int[] shape, Array data)
    {
        long[] dims = [.. shape.Select(d => (long)d)];
        values.Add(data is float[] f
            ? OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, f.AsMemory(), dims)
            : OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ((byte[])data).AsMemory(), dims));
        return values[^1];
    }
}
