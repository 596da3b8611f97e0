using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>x * min(max(x + 3, 0), 6) / 6.</summary>
/// <remarks>In the order of PyTorch's quantized kernel: aten/native/quantized/cpu/kernels/QuantizedOpKernels.cpp qhardswish_kernel.</remarks>
public sealed class HardSwish : TableOperator
{
    public override string OpType => "HardSwish";

    protected override Func<float, float> Function(NodeProto node) => x => x * MathF.Min(MathF.Max(x + 3f, 0f), 6f) / 6f;
}
