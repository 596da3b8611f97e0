using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Benchmarks.Networks;

/// <summary>Transformer encoders with random weights, written as exporters write them: attention by Reshape, Transpose, MatMul and Softmax, GELU by Erf.</summary>
/// <remarks>Vaswani et al., "Attention Is All You Need" (2017); Devlin et al., "BERT" (2018), normalization behind each sum; Dosovitskiy et al., "An Image Is
/// Worth 16x16 Words" (2020), normalization before each block, all of query, key and value in one layer, cut by Split. Weights of variance 1 / fan-in keep the
/// size of activations, which the normalizations set anyway. Opset 17.</remarks>
internal sealed class Transformers
{
    private const int Opset = 17, IrVersion = 8, HeadSize = 64;
    private readonly GraphProto graph;
    private readonly Random random = new(1);
    private readonly int hidden, heads;
    private int count;

    private Transformers(string name, int hidden)
    {
        graph = new() { Name = name };
        this.hidden = hidden;
        heads = hidden / HeadSize;
        Constant("heads", [0L, 0, heads, HeadSize]);
        Constant("flat", [0L, 0, hidden]);
        Constant("root2", [MathF.Sqrt(2)]);
        Constant("one", [1f]);
        Constant("half", [0.5f]);
    }

    /// <summary>BERT's encoder in the size of bert-small: 4 layers of 512, 8 heads; 12.6 million weights. Takes what the embeddings add up to.</summary>
    /// <returns>Input "input" [N, 128, 512], output "output" [N, 128, 512].</returns>
    public static OnnxModel Bert()
    {
        Transformers net = new("bert-small", 512);
        net.graph.Input.Add(Nodes.Value("input", DataType.Float, "N", 128, net.hidden));
        string x = net.Norm("input");
        net.Constant("root", [MathF.Sqrt(HeadSize)]);
        for (int layer = 0; layer < 4; layer++)
        {
            string q = net.Heads(net.Linear(x, net.hidden, net.hidden), 0, 2, 1, 3), k = net.Heads(net.Linear(x, net.hidden, net.hidden), 0, 2, 3, 1);
            string v = net.Heads(net.Linear(x, net.hidden, net.hidden), 0, 2, 1, 3), scores = net.Node("Div", [net.Node("MatMul", [q, k]), "root"]);
            x = net.Norm(net.Node("Add", [net.Attend(scores, v), x]));
            x = net.Norm(net.Node("Add", [net.Mlp(x), x]));
        }
        return net.Finish(x, 128, net.hidden);
    }

    /// <summary>ViT-Ti/16 with the mean of its patches in the place of a class token: 12 layers of 192, 3 heads; 5.6 million weights, 1.1 GMAC an image.</summary>
    /// <returns>Input "input" [N, 3, 224, 224], output "output" [N, 1000].</returns>
    public static OnnxModel Vision()
    {
        const int patches = 196;
        Transformers net = new("vit-tiny", 192);
        net.graph.Input.Add(Nodes.Value("input", DataType.Float, "N", 3, 224, 224));
        net.Constant("rows", [0L, net.hidden, patches]);
        net.Constant("three", [0L, 0, 3, net.heads, HeadSize]);
        net.Constant("first", [0L]);
        net.Constant("scale", [1 / MathF.Sqrt(HeadSize)]);
        string x = net.Node("Conv", ["input", net.Weight(1.0 / 768, net.hidden, 3, 16, 16), net.Weight(0.01, net.hidden)], Nodes.Attribute("kernel_shape", [16, 16]), Nodes.Attribute("strides", [16, 16]));
        x = net.Node("Transpose", [net.Node("Reshape", [x, "rows"])], Nodes.Attribute("perm", [0, 2, 1]));
        x = net.Node("Add", [x, net.Weight(0.1, 1, patches, net.hidden)]);
        for (int layer = 0; layer < 12; layer++)
        {
            string qkv = net.Node("Transpose", [net.Node("Reshape", [net.Linear(net.Norm(x), net.hidden, 3 * net.hidden), "three"])], Nodes.Attribute("perm", [2, 0, 3, 1, 4]));
            NodeProto split = Nodes.Create("Split", $"split.{layer}", [qkv], [$"q.{layer}", $"k.{layer}", $"v.{layer}"], Nodes.Attribute("axis", 0L));
            net.graph.Node.Add(split);
            string[] parts = [.. split.Output.Select(o => net.Node("Squeeze", [o, "first"]))];
            string scores = net.Node("MatMul", [net.Node("Mul", [parts[0], "scale"]), net.Node("Transpose", [parts[1]], Nodes.Attribute("perm", [0, 1, 3, 2]))]);
            x = net.Node("Add", [x, net.Attend(scores, parts[2])]);
            x = net.Node("Add", [x, net.Mlp(net.Norm(x))]);
        }
        string mean = net.Node("ReduceMean", [net.Norm(x)], Nodes.Attribute("axes", [1]), Nodes.Attribute("keepdims", 0L));
        return net.Finish(net.Linear(mean, net.hidden, 1000), 1000);
    }

    private OnnxModel Finish(string output, params int[] shape)
    {
        graph.Node.Single(n => n.Output[0] == output).Output[0] = "output";
        graph.Output.Add(Nodes.Value("output", DataType.Float, ["N", .. shape.Select(d => (object)d)]));
        ModelProto proto = new() { IrVersion = IrVersion, ProducerName = "QuantPS.Benchmarks", Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Domain = OnnxModel.StandardDomain, Version = Opset });
        return OnnxModel.FromProto(proto, graph.Name);
    }

    private string Heads(string x, params int[] order) => Node("Transpose", [Node("Reshape", [x, "heads"])], Nodes.Attribute("perm", order));

    private string Attend(string scores, string v) => Linear(Node("Reshape", [Node("Transpose", [Node("MatMul", [Node("Softmax", [scores], Nodes.Attribute("axis", -1L)), v])],
        Nodes.Attribute("perm", [0, 2, 1, 3])), "flat"]), hidden, hidden);

    private string Mlp(string x)
    {
        string h = Linear(x, hidden, 4 * hidden), bent = Node("Add", [Node("Erf", [Node("Div", [h, "root2"])]), "one"]);
        return Linear(Node("Mul", [Node("Mul", [h, bent]), "half"]), 4 * hidden, hidden);
    }

    private string Linear(string x, int inputs, int outputs) => Node("Add", [Node("MatMul", [x, Weight(1.0 / inputs, inputs, outputs)]), Weight(0.01, outputs)]);

    private string Norm(string x) => Node("LayerNormalization", [x, Weight(0.04, [hidden], mean: 1), Weight(0.01, hidden)], Nodes.Attribute("axis", -1L), Nodes.Attribute("epsilon", 1e-6f));

    private string Node(string type, string[] inputs, params AttributeProto[] attributes)
    {
        string name = $"{type}.{count++}";
        graph.Node.Add(Nodes.Create(type, name, inputs, [name], attributes));
        return name;
    }

    private string Weight(double variance, params int[] shape) => Weight(variance, shape, 0);

    private string Weight(double variance, int[] shape, double mean)
    {
        var values = new float[shape.Aggregate(1, (a, b) => a * b)];
        // Twelve uniform values less six are as good as normal here.
        foreach (ref float v in values.AsSpan())
        {
            double sum = -6;
            for (int i = 0; i < 12; i++)
                sum += random.NextDouble();
            v = (float)(mean + sum * Math.Sqrt(variance));
        }
        string name = $"weight.{count++}";
        graph.Initializer.Add(TensorProtos.Create(name, values, shape));
        return name;
    }

    private void Constant(string name, float[] values) => graph.Initializer.Add(TensorProtos.Create(name, values, values.Length == 1 ? [] : [values.Length]));

    private void Constant(string name, long[] values) => graph.Initializer.Add(TensorProtos.Create(name, values.AsSpan(), [values.Length]));
}
