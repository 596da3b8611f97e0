using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Networks;

/// <summary>A value of a network under construction.</summary>
/// <param name="Name">Its name in the graph.</param>
/// <param name="Channels">Its second dimension.</param>
/// <param name="Mean">Its mean, as the random weights let expect.</param>
/// <param name="Power">The mean of its squares.</param>
internal readonly record struct Value(string Name, int Channels, double Mean, double Power);

/// <summary>Builds a network in the shape of a published one, with random weights: convolutions are He-initialised, and batch normalization has
/// the variance that follows from the weights and the power of its input, so that activations keep the size they have in a trained network.</summary>
/// <remarks>He et al., "Delving Deep into Rectifiers" (2015): weights of variance 2 / fan-in give an output whose variance is twice the mean
/// square of the input. Input: float32 [N, 3, 224, 224], normalized; output: [N, 1000] logits. Opset 17.</remarks>
internal sealed class NetworkBuilder
{
    private const int Opset = 17, IrVersion = 8;
    private readonly GraphProto graph;
    private readonly Random random;

    public NetworkBuilder(string name, int seed)
    {
        graph = new() { Name = name };
        random = new(seed);
        graph.Input.Add(Nodes.Value("input", DataType.Float, "N", 3, 224, 224));
        graph.Output.Add(Nodes.Value("output", DataType.Float, "N", 1000));
    }

    /// <summary>The image.</summary>
    public Value Input { get; } = new("input", 3, 0, 1);

    /// <summary>Conv without bias, then BatchNormalization, as exporters write them; padded so that stride 1 keeps the size.</summary>
    /// <param name="x">What it convolves.</param>
    /// <param name="name">Of the node; weights are named after it.</param>
    /// <param name="outputs">Output channels.</param>
    /// <param name="gain">Mean of the normalization's factor.</param>
    public Value ConvBatchNorm(Value x, string name, int outputs, int kernel, int stride = 1, int groups = 1, double gain = 1)
    {
        int fanIn = x.Channels / groups * kernel * kernel;
        Initializer(name + ".weight", Normal(outputs * fanIn, 0, Math.Sqrt(2.0 / fanIn)), outputs, x.Channels / groups, kernel, kernel);
        graph.Node.Add(Nodes.Create("Conv", name, [x.Name, name + ".weight"], [name + ".out"],
            Nodes.Attribute("kernel_shape", [kernel, kernel]), Nodes.Attribute("strides", [stride, stride]),
            Nodes.Attribute("pads", [kernel / 2, kernel / 2, kernel / 2, kernel / 2]), Nodes.Attribute("dilations", [1, 1]),
            Nodes.Attribute("group", (long)groups)));
        string norm = name + ".bn";
        double variance = 2 * x.Power, shift = 0.1;
        Initializer(norm + ".weight", Uniform(outputs, 0.8 * gain, 1.2 * gain), outputs);
        Initializer(norm + ".bias", Normal(outputs, 0, shift), outputs);
        Initializer(norm + ".running_mean", Normal(outputs, 0, 0.1 * Math.Sqrt(variance)), outputs);
        Initializer(norm + ".running_var", Uniform(outputs, 0.8 * variance, 1.2 * variance), outputs);
        graph.Node.Add(Nodes.Create("BatchNormalization", norm,
            [name + ".out", norm + ".weight", norm + ".bias", norm + ".running_mean", norm + ".running_var"], [norm + ".out"],
            Nodes.Attribute("epsilon", 1e-5f), Nodes.Attribute("momentum", 0.9f)));
        return new(norm + ".out", outputs, 0, gain * gain + shift * shift);
    }

    public Value Relu(Value x, string name) => Node("Relu", name, [x.Name], Rectified(x));

    /// <summary>Clip to 0..6.</summary>
    public Value Relu6(Value x, string name)
    {
        if (!graph.Initializer.Any(t => t.Name == "six"))
        {
            Initializer("zero", [0f]);
            Initializer("six", [6f]);
        }
        return Node("Clip", name, [x.Name, "zero", "six"], Rectified(x));
    }

    public Value Add(Value a, Value b, string name) =>
        Node("Add", name, [a.Name, b.Name], a with { Mean = a.Mean + b.Mean, Power = a.Power + b.Power + 2 * a.Mean * b.Mean });

    /// <summary>3x3, stride 2, padding 1. The largest of nine neighbours, which are alike, is taken for a little more than one of them.</summary>
    public Value MaxPool(Value x, string name) => Node("MaxPool", name, [x.Name], x with { Mean = 1.5 * x.Mean, Power = 2 * x.Power },
        Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("pads", [1, 1, 1, 1]));

    /// <summary>The end: global average, a linear layer to 1,000 classes, and the model.</summary>
    public OnnxModel Classify(Value x, string name)
    {
        Value flat = Node("Flatten", "flatten", [Node("GlobalAveragePool", "avgpool", [x.Name], x).Name], x, Nodes.Attribute("axis", 1L));
        Initializer(name + ".weight", Normal(1000 * x.Channels, 0, Math.Sqrt(1.0 / x.Channels)), 1000, x.Channels);
        Initializer(name + ".bias", Normal(1000, 0, 0.1), 1000);
        graph.Node.Add(Nodes.Create("Gemm", name, [flat.Name, name + ".weight", name + ".bias"], ["output"], Nodes.Attribute("transB", 1L)));
        ModelProto proto = new() { IrVersion = IrVersion, ProducerName = "QuantPS.Benchmarks", Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Domain = OnnxModel.StandardDomain, Version = Opset });
        return OnnxModel.FromProto(proto, graph.Name);
    }

    private Value Node(string type, string name, string[] inputs, Value result, params AttributeProto[] attributes)
    {
        graph.Node.Add(Nodes.Create(type, name, inputs, [name + ".out"], attributes));
        return result with { Name = name + ".out" };
    }

    /// <summary>Mean and power of a normally distributed value behind a Relu.</summary>
    private static Value Rectified(Value x)
    {
        double deviation = Math.Sqrt(Math.Max(x.Power - x.Mean * x.Mean, 1e-12)), z = x.Mean / deviation;
        double density = deviation * Math.Exp(-z * z / 2) / Math.Sqrt(2 * Math.PI);
        // The logistic curve for the normal distribution's: at most a hundredth off.
        double positive = 1 / (1 + Math.Exp(-1.702 * z));
        return x with { Mean = x.Mean * positive + density, Power = x.Power * positive + x.Mean * density };
    }

    private void Initializer(string name, float[] values, params int[] shape) => graph.Initializer.Add(TensorProtos.Create(name, values, shape));

    private float[] Uniform(int count, double low, double high)
    {
        float[] values = new float[count];
        foreach (ref float v in values.AsSpan())
            v = (float)(low + (high - low) * random.NextDouble());
        return values;
    }

    /// <summary>Box and Muller's method: two values of two uniform ones.</summary>
    private float[] Normal(int count, double mean, double deviation)
    {
        float[] values = new float[count + 1 & ~1];
        for (int i = 0; i < values.Length; i += 2)
        {
            double radius = deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            (double sin, double cos) = Math.SinCos(2 * Math.PI * random.NextDouble());
            (values[i], values[i + 1]) = ((float)(mean + radius * cos), (float)(mean + radius * sin));
        }
        return values.Length == count ? values : values[..count];
    }
}
