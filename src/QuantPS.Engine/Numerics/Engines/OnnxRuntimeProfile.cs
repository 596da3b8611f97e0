using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>ONNX Runtime's QLinearConv and QLinearMatMul: int32 bias, quantization by division.</summary>
public sealed class OnnxRuntimeProfile : EngineProfile
{
    public override EngineKind Kind => EngineKind.OnnxRuntime;

    public override bool QuantizesByDivision => true;

    public override Requantizer CreateRequantizer(RequantizationSpec spec) => new OnnxRuntimeRequantizer(spec);
}
