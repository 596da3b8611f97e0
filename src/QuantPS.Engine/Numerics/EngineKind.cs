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

    /// <summary>oneDNN 2.6 as torch 1.13 used it; another association of the scales than oneDNN 3.</summary>
    OneDnn2,
}
