using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests;

/// <summary>Small models built for one test each.</summary>
internal static class TestModels
{
    /// <summary>Values from a fixed seed, roughly normal.</summary>
    public static Tensor Random(int seed, params int[] shape)
    {
        Random random = new(seed);
        Tensor t = new(shape);
        foreach (ref float v in t.Span)
            v = (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() + random.NextDouble() - 2);
        return t;
    }

    public static float[] RandomVector(int seed, int length) => Random(seed, length).ToArray();

    /// <summary>One convolution with random weights.</summary>
    public static OnnxModel Conv(int inputs, int outputs, int kernel, int seed = 1, int groups = 1) =>
        ModelBuilder.Conv2d(Random(seed, outputs, inputs / groups, kernel, kernel), RandomVector(seed + 1, outputs), new ConvGeometry([kernel, kernel], padBegin: [kernel / 2, kernel / 2], groups: groups));

    /// <summary>Any graph with one input and the given outputs.</summary>
    public static OnnxModel Graph(object?[] inputShape, IEnumerable<NodeProto> nodes, IEnumerable<TensorProto> initializers, string[] outputs, int opset = 17, int ir = 8, string input = "x")
    {
        GraphProto graph = new() { Name = "test" };
        graph.Input.Add(Nodes.Value(input, DataType.Float, inputShape));
        graph.Node.AddRange(nodes);
        graph.Initializer.AddRange(initializers);
        graph.Output.AddRange(outputs.Select(o => new ValueInfoProto { Name = o, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)DataType.Float } } }));
        ModelProto proto = new() { IrVersion = ir, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
        return OnnxModel.FromProto(proto, "test");
    }

    public static TensorProto Weight(string name, int seed, params int[] shape) => TensorProtos.Create(name, Random(seed, shape));
}
