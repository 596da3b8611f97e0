using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Peers;

/// <summary>ONNX Runtime's QLinearConv, in one of its two layouts.</summary>
internal sealed class OrtConv : OrtBound
{
    public OrtConv(ConvShape s, sbyte[] weight, float inputScale, byte inputZero, float[] weightScales, float outputScale, byte outputZero, int[] bias, Memory<byte> x, bool channelsLast, int threads)
    {
        GraphProto graph = new() { Name = "conv" };
        long[] inShape = channelsLast ? [s.Batch, s.Height, s.Width, s.Channels] : [s.Batch, s.Channels, s.Height, s.Width];
        long[] outShape = channelsLast ? [s.Batch, s.OutHeight, s.OutWidth, s.Outputs] : [s.Batch, s.Outputs, s.OutHeight, s.OutWidth];
        graph.Input.Add(Nodes.Value("x", DataType.Uint8, [.. inShape.Select(d => (object)(int)d)]));
        graph.Output.Add(Nodes.Value("y", DataType.Uint8, [.. outShape.Select(d => (object)(int)d)]));
        Add("xs", DataType.Float, MemoryMarshal.AsBytes<float>(new[] { inputScale }), []);
        Add("xz", DataType.Uint8, [inputZero], []);
        Add("w", DataType.Int8, MemoryMarshal.AsBytes<sbyte>(weight), [s.Outputs, s.Channels / s.Groups, s.Kernel, s.Kernel]);
        Add("ws", DataType.Float, MemoryMarshal.AsBytes<float>(weightScales), [s.Outputs]);
        Add("wz", DataType.Int8, new byte[s.Outputs], [s.Outputs]);
        Add("ys", DataType.Float, MemoryMarshal.AsBytes<float>(new[] { outputScale }), []);
        Add("yz", DataType.Uint8, [outputZero], []);
        Add("b", DataType.Int32, MemoryMarshal.AsBytes<int>(bias), [s.Outputs]);
        NodeProto node = Nodes.Create("QLinearConv", "conv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"],
            Nodes.Attribute("kernel_shape", [s.Kernel, s.Kernel]),
            Nodes.Attribute("strides", [s.Stride, s.Stride]),
            Nodes.Attribute("pads", [s.Padding, s.Padding, s.Padding, s.Padding]),
            Nodes.Attribute("group", (long)s.Groups));
        if (channelsLast)
        {
            node.Domain = "com.microsoft";
            node.Attribute.Add(Nodes.Attribute("channels_last", 1L));
        }
        graph.Node.Add(node);
        Output = new AlignedBuffer<byte>((int)outShape.Aggregate(1L, (a, b) => a * b)).Memory;
        Bind(graph, [OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, x, inShape)],
            OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, Output, outShape), threads);

        void Add(string name, DataType type, ReadOnlySpan<byte> raw, int[] shape) => graph.Initializer.Add(TensorProtos.Create(name, type, raw, shape));
    }

    public Memory<byte> Output { get; }
}
