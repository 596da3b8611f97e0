using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>QNNPACK, PyTorch's mobile engine (its x86 kernels): the only PyTorch engine that makes an int32 bias.</summary>
public sealed class QnnpackProfile(TorchVersion version) : EngineProfile
{
    public override EngineKind Kind => EngineKind.Qnnpack;

    public override Requantizer CreateRequantizer(RequantizationSpec spec) => new QnnpackRequantizer(spec, version);
}
