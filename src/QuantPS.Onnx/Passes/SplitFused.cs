using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>FusedConv, FusedGemm and FusedMatMul, which ONNX Runtime's optimizer leaves in the models that it saves, by the standard operators that they were
/// made of: only those have forms on integers, and only they are recognized by other passes.</summary>
/// <remarks>Source: onnxruntime docs/ContribOperators.md; core/optimizer/conv_activation_fusion.cc, conv_add_act_fusion.cc, gemm_activation_fusion.cc;
/// contrib_ops/cpu/fused_activation.cc, fused_gemm.cc; core/providers/cpu/nn/conv.cc (Z is added before the activation and has the shape of the
/// output). Nodes with anything else stay.</remarks>
public sealed class SplitFused : NodePass
{
    /// <summary>Since then Clip has its limits as inputs.</summary>
    private const int ClipTakesInputs = 11;

    private const string Activation = "activation", Parameters = "activation_params", ParameterPrefix = "activation_";

    private static readonly HashSet<string> ConvAttributes = ["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];

    private static readonly HashSet<string> GemmAttributes = ["alpha", "beta", "transA", "transB"];

    /// <summary>What FusedGemm may end in, and the attributes of that; its own have these names behind a prefix.</summary>
    private static readonly Dictionary<string, string[]> GemmActivations = new(StringComparer.Ordinal)
    {
        ["Elu"] = ["alpha"],
        ["HardSigmoid"] = ["alpha", "beta"],
        ["LeakyRelu"] = ["alpha"],
        ["Relu"] = [],
        ["Selu"] = ["alpha", "gamma"],
        ["Sigmoid"] = [],
        ["Softplus"] = [],
        ["Softsign"] = [],
        ["Tanh"] = [],
    };

    public override string Name => "SplitFused";

    /// <summary>The values between the new nodes have types, too.</summary>
    public override bool TellsTypes => true;

    protected override bool Rewrite(PassContext context, NodeProto node) =>
        OnnxModel.NormalizeDomain(node.Domain) == IntegerWriter.Microsoft && node.OpType switch
        {
            "FusedConv" => Conv(context, node),
            "FusedGemm" => Gemm(context, node),
            "FusedMatMul" => MatMul(context, node),
            _ => false,
        };

    private static bool Conv(PassContext context, NodeProto node)
    {
        AttributeProto[] more = [.. node.Attribute.Where(a => !ConvAttributes.Contains(a.Name))];
        if (more.Any(a => a.Name is not Activation and not Parameters))
            return false;
        string? kind = more.FirstOrDefault(a => a.Name == Activation)?.S.ToStringUtf8();
        float[] parameters = more.FirstOrDefault(a => a.Name == Parameters) is { } given ? [.. given.Floats] : [];
        AttributeProto[] attributes = [];
        switch (kind, parameters)
        {
            case (null or "Relu" or "Sigmoid" or "Tanh", _):
                break;
            case ("LeakyRelu", [float alpha]):
                attributes = [Nodes.Attribute("alpha", alpha)];
                break;
            case ("HardSigmoid", [float alpha, float beta]):
                attributes = [Nodes.Attribute("alpha", alpha), Nodes.Attribute("beta", beta)];
                break;
            case ("Clip", [float min, float max]):
                attributes = [Nodes.Attribute("min", min), Nodes.Attribute("max", max)];
                break;
            default:
                return false;
        }
        // Constants beside it, and the values between, are of float32.
        string output = node.Output[0];
        if (context.TypeOf(output) is { ElementType: not DataType.Float })
            return false;
        string[] inputs = [.. node.Input.Take(3)];
        List<NodeProto> nodes = [Nodes.Create("Conv", GraphIndex.DisplayName(node), inputs is [_, _, ""] ? inputs[..2] : inputs, [output],
            [.. node.Attribute.Where(a => ConvAttributes.Contains(a.Name)).Select(a => a.Clone())])];
        if (GraphIndex.Input(node, 3) is { Length: > 0 } summand)
            Append(context, nodes, "Add", [summand], []);
        if (kind == "Clip" && context.Model.Opset >= ClipTakesInputs)
            Append(context, nodes, kind, [.. attributes.Select(a => context.Add(TensorProtos.Create($"{output}_{a.Name}", [a.F], [])))], []);
        else if (kind is not null)
            Append(context, nodes, kind, [], attributes);
        return Replace(context, node, nodes);
    }

    private static bool Gemm(PassContext context, NodeProto node)
    {
        string kind = node.GetString(Activation, "");
        if (!GemmActivations.TryGetValue(kind, out string[]? known) || node.Attribute.Any(a => a.Name != Activation && !GemmAttributes.Contains(a.Name)
            && !known.Any(k => a.Name == ParameterPrefix + k)))
            return false;
        List<NodeProto> nodes = [Nodes.Create("Gemm", GraphIndex.DisplayName(node), node.Input, node.Output,
            [.. node.Attribute.Where(a => GemmAttributes.Contains(a.Name)).Select(a => a.Clone())])];
        AttributeProto[] attributes = [.. node.Attribute.Where(a => a.Name.StartsWith(ParameterPrefix, StringComparison.Ordinal)).Select(a => a.Clone())];
        foreach (AttributeProto a in attributes)
            a.Name = a.Name[ParameterPrefix.Length..];
        Append(context, nodes, kind, [], attributes);
        return Replace(context, node, nodes);
    }

    /// <summary>Without a factor and without transposes it is a plain product.</summary>
    private static bool MatMul(PassContext context, NodeProto node)
    {
        string[] transposes = ["transA", "transB", "transBatchA", "transBatchB"];
        if (node.Attribute.Any(a => a.Name == "alpha" ? a.F != 1f : !transposes.Contains(a.Name) || a.I != 0))
            return false;
        return Replace(context, node, [Nodes.Create("MatMul", GraphIndex.DisplayName(node), node.Input, node.Output)]);
    }

    /// <summary>A further node, which makes the output that the last one made so far.</summary>
    private static void Append(PassContext context, List<NodeProto> nodes, string opType, string[] moreInputs, AttributeProto[] attributes)
    {
        NodeProto last = nodes[^1];
        string output = last.Output[0], between = context.FreeName($"{output}_{last.OpType}");
        last.Output[0] = between;
        nodes.Add(Nodes.Create(opType, $"{nodes[0].Name}_{opType}", [between, .. moreInputs], [output], attributes));
    }

    private static bool Replace(PassContext context, NodeProto node, List<NodeProto> nodes)
    {
        Google.Protobuf.Collections.RepeatedField<NodeProto> all = context.Model.Proto.Graph.Node;
        foreach (NodeProto earlier in nodes[..^1])
            all.Insert(all.IndexOf(node), earlier);
        context.Replace([node], nodes[^1]);
        return true;
    }
}
