using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>FBGEMM, PyTorch's older x86 engine. Sums are exact, as on a CPU with VNNI; compat mode brings the depthwise kernel's int16 saturation back.</summary>
public sealed class FbgemmProfile : EngineProfile
{
    public override EngineKind Kind => EngineKind.Fbgemm;

    public override Requantizer CreateRequantizer(RequantizationSpec spec) => new FbgemmRequantizer(spec);
}
