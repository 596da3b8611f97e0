using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>Every engine, a line each.</summary>
public static class EngineProfiles
{
    private static readonly Dictionary<EngineKind, Func<TorchVersion, EngineProfile>> Factories = new()
    {
        [EngineKind.X86] = _ => new X86Profile(),
        [EngineKind.Fbgemm] = _ => new FbgemmProfile(),
        [EngineKind.OneDnn] = v => new OneDnnProfile(v),
        [EngineKind.Qnnpack] = v => new QnnpackProfile(v),
        [EngineKind.OnnxRuntime] = _ => new OnnxRuntimeProfile(),
    };

    public static IReadOnlyCollection<EngineKind> Kinds => Factories.Keys;

    /// <summary>The rules of an engine as a version of PyTorch used it.</summary>
    /// <exception cref="QuantException">UnknownEngine.</exception>
    public static EngineProfile Get(EngineKind kind, TorchVersion version = TorchVersion.V2) => Factories.TryGetValue(kind, out Func<TorchVersion, EngineProfile>? make)
        ? make(version)
        : throw new QuantException(ErrorIds.UnknownEngine, $"There is no engine {kind}. Known: {string.Join(", ", Factories.Keys)}.", kind);
}
