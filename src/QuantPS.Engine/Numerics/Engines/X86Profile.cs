using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>PyTorch's default engine: picks onednn or fbgemm layer by layer.</summary>
/// <remarks>Source: aten/native/quantized/cpu/OnednnUtils.h should_use_onednn_quant. A convolution goes to onednn when its weights are symmetric and
/// it has at most 100 groups and no output padding; a linear layer goes to fbgemm. PyTorch also asks for a CPU with AVX-512 VNNI; here the answer must not depend on
/// the machine, so the CPU is taken to have it.</remarks>
public sealed class X86Profile : EngineProfile
{
    private const int MostGroupsForOneDnn = 100;

    public override EngineKind Kind => EngineKind.X86;

    public override EngineProfile Resolve(LayerFacts layer, TorchVersion version) =>
        EngineProfiles.Get(layer.IsConv && layer.Groups <= MostGroupsForOneDnn && layer.Weight.HasZeroZeroPoints && !layer.HasOutputPadding ? EngineKind.OneDnn : EngineKind.Fbgemm, version);

    public override Requantizer CreateRequantizer(RequantizationSpec spec) =>
        throw new QuantException(ErrorIds.UnknownEngine, "The x86 engine has no arithmetic of its own: resolve it to onednn or fbgemm first.");
}
