using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;

namespace QuantPS.Onnx.Runtime;

/// <summary>What becomes of a node of a model that came quantized.</summary>
/// <param name="Name">The node's name.</param>
/// <param name="OpType">Its operator and what is fused into it: "Conv+Relu".</param>
/// <param name="Kernel">What runs it: a kernel's name, "integers" for an operator of this module without a choice of kernels, "ONNX Runtime" for a node that
/// is left to that.</param>
/// <param name="IsInteger">False for a node that is left to ONNX Runtime.</param>
public sealed record PlanLayer(string Name, string OpType, Func<string> Kernel, bool IsInteger)
{
    /// <summary>What <see cref="Kernel"/> says of an operator of this module without a choice of kernels.</summary>
    internal const string Integers = "integers";

    /// <summary>The layer, for operators with weights.</summary>
    public QuantizedWeightLayer? Layer { get; init; }

    /// <summary>Parameters of the first input; null where they are not known.</summary>
    public QParams? Input { get; init; }

    /// <summary>Parameters of the output; null where they are not known.</summary>
    public QParams? Output { get; init; }
}
