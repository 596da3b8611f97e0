using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>The operators that have an int8 form, a line each. All others run in float.</summary>
public static class OperatorRegistry
{
    /// <summary>Where two forms have the same ONNX name, the first one that takes a node has it.</summary>
    private static readonly ILookup<(string Domain, string OpType), QuantOperator> Operators = new QuantOperator[]
    {
        new Conv(),
        new ConvTranspose(),
        new Gemm(),
        new MatMul(),
        new MatMulOfActivations(),
        new Relu(),
        new Clip(),
        new LeakyRelu(),
        new PRelu(),
        new HardSwish(),
        new HardSigmoid(),
        new Sigmoid(),
        new Tanh(),
        new Softmax(),
        new Add(),
        new Mul(),
        new Concat(),
        new Where(),
        new GlobalAveragePool(),
        new AveragePool(),
        new ReduceMean(),
        new MaxPool(),
        new ArgMax(),
        new Flatten(),
        new Reshape(),
        new Squeeze(),
        new Unsqueeze(),
        new Transpose(),
        new Slice(),
        new Split(),
        new Gather(),
        new GatherElements(),
        new Expand(),
        new Pad(),
        new LinearResize(),
        new Resize(),
        new DepthToSpace(),
        new SpaceToDepth(),
        new Identity(),
        new InstanceNormalization(),
        new LayerNormalization(),
        new EmbedLayerNormalization(),
        new BatchNormalization(),
    }.ToLookup(o => (o.Domain, o.OpType));

    /// <summary>ONNX names of the operators with an int8 form.</summary>
    public static IReadOnlyCollection<string> OpTypes { get; } = [.. Operators.Select(o => o.Key.OpType)];

    /// <summary>What is known of a node's operator, a form each; empty when it has no int8 form.</summary>
    public static IEnumerable<QuantOperator> Find(NodeProto node) => Operators[(OnnxModel.NormalizeDomain(node.Domain), node.OpType)];
}
