using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Model;

/// <summary>Models with a single node, for the prompt: input "input", output "output", any batch size.</summary>
public static class ModelBuilder
{
    private const int OpsetVersion = 17;

    /// <summary>IR version that goes with the opset.</summary>
    private const int IrVersion = 8;

    /// <summary>A convolution. Takes [N, I, spatial...] of any batch and image size.</summary>
    /// <param name="weight">[O, I / groups, kernel...]</param>
    /// <param name="bias">[O], or null.</param>
    /// <param name="geometry">Stride, padding, dilation, groups.</param>
    /// <param name="name">Name of the model and of its node.</param>
    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public static OnnxModel Conv2d(Tensor weight, float[]? bias, ConvGeometry geometry, string name = "conv")
    {
        if (weight.Rank != geometry.SpatialRank + 2 || !weight.Dims[2..].SequenceEqual(geometry.Kernel))
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"The weight [{TensorShape.Format(weight.Dims)}] must be [output channels, input channels / groups, "
                + $"{TensorShape.Format(geometry.Kernel)}].", weight);
        if (weight.Dims[0] % geometry.Groups != 0)
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"{weight.Dims[0]} output channels cannot be split into {geometry.Groups} groups.", weight);
        CheckBias(bias, weight.Dims[0]);
        NodeProto node = Nodes.Create("Conv", name, Inputs(bias), ["output"],
            Nodes.Attribute("kernel_shape", geometry.Kernel),
            Nodes.Attribute("strides", geometry.Stride),
            Nodes.Attribute("pads", [.. geometry.PadBegin, .. geometry.PadEnd]),
            Nodes.Attribute("dilations", geometry.Dilation),
            Nodes.Attribute("group", (long)geometry.Groups));
        string[] spatial = "DHW"[(3 - geometry.SpatialRank)..].Select(c => c.ToString()).ToArray();
        return Build(name, node, weight, bias,
            Nodes.Value("input", DataType.Float, ["N", weight.Dims[1] * geometry.Groups, .. spatial]),
            Nodes.Value("output", DataType.Float, ["N", weight.Dims[0], .. spatial.Select(s => s + "out")]));
    }

    /// <summary>A linear layer. Takes [N, in].</summary>
    /// <param name="weight">[out, in]</param>
    /// <param name="bias">[out], or null.</param>
    /// <param name="name">Name of the model and of its node.</param>
    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public static OnnxModel Linear(Tensor weight, float[]? bias, string name = "linear")
    {
        if (weight.Rank != 2)
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"The weight [{TensorShape.Format(weight.Dims)}] must be [output features, input features].", weight);
        CheckBias(bias, weight.Dims[0]);
        NodeProto node = Nodes.Create("Gemm", name, Inputs(bias), ["output"], Nodes.Attribute("transB", 1L));
        return Build(name, node, weight, bias,
            Nodes.Value("input", DataType.Float, "N", weight.Dims[1]),
            Nodes.Value("output", DataType.Float, "N", weight.Dims[0]));
    }

    private static string[] Inputs(float[]? bias) => bias is null ? ["input", "weight"] : ["input", "weight", "bias"];

    private static void CheckBias(float[]? bias, int channels)
    {
        if (bias is not null && bias.Length != channels)
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"A bias of {bias.Length} values for {channels} output channels: give one value each, or none.", bias);
    }

    private static OnnxModel Build(string name, NodeProto node, Tensor weight, float[]? bias, ValueInfoProto input, ValueInfoProto output)
    {
        GraphProto graph = new() { Name = name };
        graph.Node.Add(node);
        graph.Initializer.Add(TensorProtos.Create("weight", weight));
        if (bias is not null)
            graph.Initializer.Add(TensorProtos.Create("bias", bias, [bias.Length]));
        graph.Input.Add(input);
        graph.Output.Add(output);
        ModelProto proto = new() { IrVersion = IrVersion, ProducerName = "QuantPS", Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Domain = OnnxModel.StandardDomain, Version = OpsetVersion });
        return OnnxModel.FromProto(proto, name);
    }
}
