using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>oneDNN: version 3 as PyTorch 2 uses it, version 2.6 as torch 1.13 did. Takes symmetric weights only.</summary>
public sealed class OneDnnProfile(TorchVersion version) : EngineProfile
{
    public override EngineKind Kind => EngineKind.OneDnn;

    public override void CheckWeight(LayerFacts layer)
    {
        if (!layer.Weight.HasZeroZeroPoints)
            throw new QuantException(ErrorIds.AsymmetricWeightRefused, $"{layer.Name}: onednn only supports symmetric quantization of weights, whose zero point must be 0. Use a symmetric weight scheme (per_channel_symmetric, per_tensor_symmetric), or the engine fbgemm, qnnpack or x86.", layer.Name);
    }

    public override Requantizer CreateRequantizer(RequantizationSpec spec) =>
        version == TorchVersion.V2 ? new OneDnnRequantizer(spec) : new OneDnn2Requantizer(spec);
}
