using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Tests.Export;

/// <summary>Small networks drawn from all operators that have an int8 form: a convolution, a handful of operators that take each other's results, and
/// a Gemm. The input is "x" [N, 3, 8, 8], the output "y" [N, 5].</summary>
internal sealed class RandomNetwork
{
    private readonly Random random;
    private readonly int seed;
    private readonly List<NodeProto> nodes = [];
    private readonly List<TensorProto> constants = [];
    private readonly List<Value> values = [];

    private RandomNetwork(int seed)
    {
        this.seed = seed;
        random = new Random(seed);
        values.Add(Conv(new Value("x", 3, 8, 8)));
    }

    /// <summary>A value of the graph, [N, C, H, W].</summary>
    private sealed record Value(string Name, int C, int H, int W)
    {
        public bool IsLike(Value other) => (C, H, W) == (other.C, other.H, other.W);
    }

    /// <summary>The network of a seed, in an operator set from 13 to 21.</summary>
    public static OnnxModel Create(int seed, int opset)
    {
        RandomNetwork net = new(seed);
        for (int i = 0, count = net.random.Next(4, 9); i < count; i++)
            net.values.Add(net.Grow(opset));
        return net.Finish(opset);
    }

    private OnnxModel Finish(int opset)
    {
        Value last = values[^1];
        string flat = Write("Flatten", [last.Name]);
        int features = last.C * last.H * last.W;
        nodes.Add(Nodes.Create("Gemm", Name("Gemm"), [flat, Constant(features, 5), Constant(5)], ["y"]));
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], nodes, constants, ["y"], opset, ir: opset >= 19 ? 10 : 8);
        model.Proto.Graph.Output[0] = Nodes.Value("y", TensorProto.Types.DataType.Float, ["N", 5]);
        return model;
    }

    private Value Grow(int opset)
    {
        // The newest value twice as often, so that networks are deep rather than wide.
        Value v = random.Next(2) == 0 ? values[^1] : values[random.Next(values.Count)];
        Value like = values.Last(o => o.IsLike(v));
        switch (random.Next(34))
        {
            case 0 or 1:
                return Conv(v);
            case 2:
                return Activated(Conv(v), "Relu");
            case 3:
                return Activated(Conv(v), "Clip", Scalar(-0.5f), Scalar(1.5f));
            case 4:
                return Activated(v, "LeakyRelu");
            case 5:
                return Activated(v, "Sigmoid");
            case 6:
                return Activated(v, "Tanh");
            case 7:
                return opset >= 14 ? Activated(v, "HardSwish") : Activated(v, "HardSigmoid");
            case 8:
                return v with { Name = Write("Softmax", [v.Name], Nodes.Attribute("axis", 1L)) };
            case 9 or 10:
                return v with { Name = Write("Add", [v.Name, like.Name]) };
            case 11:
                return v with { Name = Write("Add", [v.Name, Constant(v.C, 1, 1)]) };
            case 12:
                return v with { Name = Write("Mul", [v.Name, like.Name]) };
            case 13:
                return v with { Name = Write("Mul", [v.Name, Scalar(0.7f)]) };
            case 14 when v.C <= 8:
                return v with { Name = Write("Concat", [v.Name, like.Name], Nodes.Attribute("axis", 1L)), C = v.C + like.C };
            case 15 when v is { H: > 2, W: > 2 }:
                return v with { Name = Write("MaxPool", [v.Name], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [2, 2])), H = v.H / 2, W = v.W / 2 };
            case 16 when v is { H: > 2, W: > 2 }:
                return v with { Name = Write("AveragePool", [v.Name], Nodes.Attribute("kernel_shape", [3, 3])), H = v.H - 2, W = v.W - 2 };
            case 17:
                return v with { Name = Write("GlobalAveragePool", [v.Name]), H = 1, W = 1 };
            case 18:
                return v with { Name = opset >= 18 ? Write("ReduceMean", [v.Name, Axes(3)]) : Write("ReduceMean", [v.Name], Nodes.Attribute("axes", [3])), W = 1 };
            case 19:
                return v with { Name = Write("Transpose", [v.Name], Nodes.Attribute("perm", [0, 1, 3, 2])), H = v.W, W = v.H };
            case 20:
                return v with { Name = Write("Reshape", [v.Name, Axes(0, v.C, 1, v.H * v.W)]), H = 1, W = v.H * v.W };
            case 21:
                return v with { Name = Write("Squeeze", [Write("Unsqueeze", [v.Name, Axes(1)]), Axes(1)]) };
            case 22 when v.C > 2:
                return v with { Name = Write("Slice", [v.Name, Axes(1), Axes(v.C), Axes(1)]), C = v.C - 1 };
            case 23:
                return v with { Name = Write("Gather", [v.Name, Axes(v.C - 1, 0)], Nodes.Attribute("axis", 1L)), C = 2 };
            case 24 when v.H <= 8 && v.W <= 8:
                return v with { Name = Write("Pad", [v.Name, Axes(0, 0, 1, 0, 0, 0, 0, 1)]), H = v.H + 1, W = v.W + 1 };
            case 25 when v.H <= 6 && v.W <= 6:
                return v with { Name = Write("Resize", [v.Name, "", Floats(1, 1, 2, 2)], Nodes.Attribute("mode", "nearest")), H = v.H * 2, W = v.W * 2 };
            case 26 when v.C % 4 == 0 && v.H * v.W <= 64:
                return v with { Name = Write("DepthToSpace", [v.Name], Nodes.Attribute("blocksize", 2L)), C = v.C / 4, H = v.H * 2, W = v.W * 2 };
            case 27 when v.H % 2 == 0 && v.W % 2 == 0 && v.C <= 4:
                return v with { Name = Write("SpaceToDepth", [v.Name], Nodes.Attribute("blocksize", 2L)), C = v.C * 4, H = v.H / 2, W = v.W / 2 };
            case 28:
                return v with { Name = Write("MatMul", [v.Name, Constant(v.W, 6)]), W = 6 };
            case 29 when v.H == v.W:
                return v with { Name = Write("MatMul", [v.Name, v.Name]) };
            case 30 when v.H <= 8 && v.W <= 8:
                return new Value(Write("ConvTranspose", [v.Name, Constant(v.C, 3, 2, 2), Constant(3)], Nodes.Attribute("strides", [2, 2])), 3, 2 * v.H, 2 * v.W);
            case 31 when v.H * v.W > 4:
                return v with { Name = Write("InstanceNormalization", [v.Name, Constant(v.C), Constant(v.C)]) };
            case 32 when opset >= 17 && v.W > 4:
                return v with { Name = Write("LayerNormalization", [v.Name, Constant(v.W), Constant(v.W)]) };
            case 33 when v.C % 2 == 0:
                string[] halves = [Name("half"), Name("half")];
                NodeProto split = Nodes.Create("Split", Name("Split"), opset >= 18 ? [v.Name, Axes(v.C / 2, v.C / 2)] : [v.Name], halves, Nodes.Attribute("axis", 1L));
                nodes.Add(split);
                return v with { Name = Write("Add", [halves[0], halves[1]]), C = v.C / 2 };
            default:
                return Conv(v);
        }
    }

    private Value Conv(Value v)
    {
        int groups = random.Next(3) == 0 ? v.C : 1, channels = groups > 1 ? v.C * random.Next(1, 3) : random.Next(2, 9), stride = v is { H: > 4, W: > 4 } ? random.Next(1, 3) : 1;
        string[] inputs = random.Next(3) == 0 ? [v.Name, Constant(channels, v.C / groups, 3, 3)] : [v.Name, Constant(channels, v.C / groups, 3, 3), Constant(channels)];
        string made = Write("Conv", inputs, Nodes.Attribute("pads", [1, 1, 1, 1]), Nodes.Attribute("strides", [stride, stride]), Nodes.Attribute("group", (long)groups));
        return new Value(made, channels, (v.H - 1) / stride + 1, (v.W - 1) / stride + 1);
    }

    private Value Activated(Value v, string op, params string[] more) => v with { Name = Write(op, [v.Name, .. more]) };

    private string Write(string op, string[] inputs, params AttributeProto[] attributes)
    {
        string output = Name("v");
        nodes.Add(Nodes.Create(op, Name(op), inputs, [output], attributes));
        return output;
    }

    /// <summary>Random values, so small that a layer neither blows up nor dies out.</summary>
    private string Constant(params int[] shape)
    {
        Tensor t = TestModels.Random(1000 * seed + constants.Count, shape);
        float fan = shape.Length == 1 ? 1 : shape.Length == 2 ? shape[0] : shape.Skip(1).Aggregate(1, (a, b) => a * b);
        foreach (ref float v in t.Span)
            v *= 1.5f / MathF.Sqrt(fan);
        return Add(TensorProtos.Create(Name("c"), t));
    }

    private string Scalar(float value) => Add(TensorProtos.Create(Name("s"), [value], []));

    private string Floats(params float[] list) => Add(TensorProtos.Create(Name("f"), list, [list.Length]));

    private string Axes(params int[] list) => Add(TensorProtos.Create(Name("i"), [.. list.Select(i => (long)i)], [list.Length]));

    private string Add(TensorProto constant)
    {
        constants.Add(constant);
        return constant.Name;
    }

    private string Name(string kind) => $"{kind}{nodes.Count}_{constants.Count}_{values.Count}_{names++}";

    private int names;
}
