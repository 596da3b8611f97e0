using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>A Conv, ConvTranspose, Gemm or MatMul whose weight and bias are float32 constants, opened to fold something into them.</summary>
/// <remarks>Channels on which side an element of the weight lies: Conv has [O, I / groups, kernel...], ConvTranspose [I, O / groups, kernel...], Gemm
/// [I, O] or with transB [O, I], MatMul [I, O]. Source: onnx docs/Operators.md.</remarks>
internal sealed class LayerWeights
{
    private readonly PassContext context;
    private readonly int inner, groups;
    private readonly bool outputsFirst;

    private LayerWeights(PassContext context, NodeProto node, Tensor weight, float[]? bias)
    {
        (this.context, Node, Weight) = (context, node, weight);
        groups = node.OpType.StartsWith("Conv", StringComparison.Ordinal) ? checked((int)node.GetInt("group", 1)) : 1;
        outputsFirst = node.OpType == "Conv" || (node.OpType == "Gemm" && node.GetInt("transB", 0) != 0);
        inner = weight.Length / weight.Dims[0] / weight.Dims[1];
        Outputs = outputsFirst ? weight.Dims[0] : weight.Dims[1] * groups;
        Inputs = outputsFirst ? weight.Dims[1] * groups : weight.Dims[0];
        Bias = bias is [float one] && Outputs > 1 ? [.. Enumerable.Repeat(one, Outputs)] : bias;
    }

    public NodeProto Node { get; }

    /// <summary>A copy of the weight, to be changed.</summary>
    public Tensor Weight { get; }

    /// <summary>One value per output channel; null without.</summary>
    public float[]? Bias { get; set; }

    public int Outputs { get; }

    public int Inputs { get; }

    public bool IsConvolution => Node.OpType is "Conv" or "ConvTranspose";

    /// <summary>Dimensions of what goes in and comes out: batch, channels, and the spatial ones; null where a matrix product takes any number.</summary>
    public int? Rank => IsConvolution ? Weight.Rank : Node.OpType == "Gemm" ? 2 : context.RankOf(Node.Input[0]);

    /// <summary>Whether a node is a layer with constant float32 weights and no factors (alpha, beta) other than 1.</summary>
    public static bool Suits(GraphIndex graph, NodeProto node)
    {
        if (!node.Is("Conv") && !node.Is("ConvTranspose") && !node.Is("Gemm") && !node.Is("MatMul"))
            return false;
        string biasName = GraphIndex.Input(node, 2);
        TensorProto? weight = graph.ConstantInput(node, 1), bias = graph.Constant(biasName);
        if (weight?.Type() != DataType.Float || (biasName.Length > 0 && bias?.Type() != DataType.Float) || graph.Constant(node.Input[0]) is not null)
            return false;
        bool convolution = node.OpType.StartsWith("Conv", StringComparison.Ordinal);
        if (convolution ? weight.Dims.Count < 3 : weight.Dims.Count != 2)
            return false;
        if (node.OpType == "Gemm" && (node.GetFloat("alpha", 1) != 1 || (bias is not null && node.GetFloat("beta", 1) != 1)))
            return false;
        return weight.Dims.All(d => d != 0);
    }

    /// <summary>Opens a node; null for one that does not suit, and for a Gemm that adds a matrix.</summary>
    public static LayerWeights? Open(PassContext context, NodeProto node)
    {
        if (!Suits(context.Graph, node))
            return null;
        TensorProto weight = context.Graph.ConstantInput(node, 1)!;
        TensorProto? bias = context.Graph.ConstantInput(node, 2);
        LayerWeights opened = new(context, node, weight.ToTensor(), bias?.ToFloats());
        // A Gemm may add a whole matrix.
        return opened.Bias is null || (opened.Bias.Length == opened.Outputs && (bias!.Dims.Count <= 1 || bias.Dims[^1] == opened.Outputs)) ? opened : null;
    }

    /// <summary>The constant as a value per channel of the layer's input or output; null when it is anything else, or adds dimensions.</summary>
    /// <param name="name">The constant.</param>
    /// <param name="channels">How many channels.</param>
    public float[]? PerChannel(string name, int channels)
    {
        if (context.Graph.Constant(name) is not TensorProto t || t.Type() != DataType.Float || Rank is not int rank || t.Dims.Count > rank)
            return null;
        int axis = t.Dims.Count - (IsConvolution ? rank - 1 : 1);
        for (int d = 0; d < t.Dims.Count; d++)
        {
            if (t.Dims[d] != 1 && (d != axis || t.Dims[d] != channels))
                return null;
        }
        float[] values = t.ToFloats();
        return values.Length == channels ? values : [.. Enumerable.Repeat(values[0], channels)];
    }

    /// <summary>Which output channel an element of the weight belongs to.</summary>
    public int OutputOf(int element)
    {
        int first = element / inner / Weight.Dims[1], second = element / inner % Weight.Dims[1];
        return outputsFirst ? first : first / (Weight.Dims[0] / groups) * Weight.Dims[1] + second;
    }

    /// <summary>Which input channel an element of the weight is multiplied with.</summary>
    public int InputOf(int element)
    {
        int first = element / inner / Weight.Dims[1], second = element / inner % Weight.Dims[1];
        return outputsFirst ? first / (Weight.Dims[0] / groups) * Weight.Dims[1] + second : first;
    }

    /// <summary>Writes weight and bias back as new constants: others may use the old ones.</summary>
    /// <param name="what">Becomes part of the new names.</param>
    public void Save(string what)
    {
        string[] old = [.. Node.Input.Skip(1)];
        string weight = context.Add(TensorProtos.Create($"{Node.Input[1]}_{what}", Weight));
        string data = Node.Input[0];
        Node.Input.Clear();
        Node.Input.AddRange([data, weight]);
        if (Bias is not null)
        {
            Node.Input.Add(context.Add(TensorProtos.Create(weight + "_bias", Bias, [Outputs])));
            // A product of matrices has no bias.
            if (Node.OpType == "MatMul")
                Node.OpType = "Gemm";
        }
        context.RemoveUnused(old);
    }

    /// <summary>Whether the layer can take a bias: a product of matrices only of plain ones, as Gemm.</summary>
    public bool TakesBias => Node.OpType != "MatMul" || Rank == 2;
}
