using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Peers;

/// <summary>A model of one node in ONNX Runtime, bound to memory of ours.</summary>
internal sealed class OrtNode : OrtBound
{
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
        Bind(graph, [.. inputs.Select(i => Wrap(i.Shape, i.Data))], Wrap(output.Shape, output.Data), threads);
    }

    private static DataType TypeOf(Array data) => data is float[] ? DataType.Float : DataType.Uint8;

    private static OrtValue Wrap(int[] shape, Array data)
    {
        long[] dims = [.. shape.Select(d => (long)d)];
        return data is float[] f
            ? OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, f.AsMemory(), dims)
            : OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ((byte[])data).AsMemory(), dims);
    }
}
