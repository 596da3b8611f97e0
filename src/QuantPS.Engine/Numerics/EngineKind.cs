namespace QuantPS.Engine.Numerics;

/// <summary>The engines whose arithmetic can be asked for. One profile each, see EngineProfiles.</summary>
public enum EngineKind
{
    /// <summary>PyTorch's default: picks onednn or fbgemm per layer.</summary>
    X86,
    Fbgemm,
    OneDnn,
    Qnnpack,
    OnnxRuntime,
}
