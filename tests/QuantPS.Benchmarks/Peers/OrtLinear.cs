using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Peers;

/// <summary>ONNX Runtime's matrix products with constant weights: com.microsoft QGemm with its int32 bias, or QLinearMatMul without.</summary>
internal sealed class OrtLinear : OrtBound
{
    /// <param name="weight">[out, in], row-major; given to ONNX Runtime transposed, as it stores them.</param>
    public OrtLinear(int rows, int inputs, int outputs, sbyte[] weight, float inputScale, byte inputZero, float[] weightScales, float outputScale, byte outputZero, int[]? bias, Memory<byte> x, int threads)
    {
        var transposed = new sbyte[weight.Length];
        for (int o = 0; o < outputs; o++)
            for (int k = 0; k < inputs; k++)
                transposed[k * outputs + o] = weight[o * inputs + k];
        GraphProto graph = new() { Name = "linear" };
        graph.Input.Add(Nodes.Value("x", DataType.Uint8, [rows, inputs]));
        graph.Output.Add(Nodes.Value("y", DataType.Uint8, [rows, outputs]));
        Add("xs", DataType.Float, MemoryMarshal.AsBytes<float>(new[] { inputScale }), []);
        Add("xz", DataType.Uint8, [inputZero], []);
        Add("w", DataType.Int8, MemoryMarshal.AsBytes<sbyte>(transposed), [inputs, outputs]);
        Add("ws", DataType.Float, MemoryMarshal.AsBytes<float>(weightScales), [outputs]);
        Add("wz", DataType.Int8, new byte[outputs], [outputs]);
        Add("ys", DataType.Float, MemoryMarshal.AsBytes<float>(new[] { outputScale }), []);
        Add("yz", DataType.Uint8, [outputZero], []);
        NodeProto node;
        if (bias is null)
        {
            node = Nodes.Create("QLinearMatMul", "linear", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"]);
        }
        else
        {
            Add("b", DataType.Int32, MemoryMarshal.AsBytes<int>(bias), [outputs]);
            node = Nodes.Create("QGemm", "linear", ["x", "xs", "xz", "w", "ws", "wz", "b", "ys", "yz"], ["y"]);
            node.Domain = "com.microsoft";
        }
        graph.Node.Add(node);
        Output = new AlignedBuffer<byte>(rows * outputs).Memory;
        Bind(graph, [OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, x, [rows, inputs])],
            OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, Output, [rows, outputs]), threads);

        void Add(string name, DataType type, ReadOnlySpan<byte> raw, int[] shape) => graph.Initializer.Add(TensorProtos.Create(name, type, raw, shape));
    }

    public Memory<byte> Output { get; }
}
