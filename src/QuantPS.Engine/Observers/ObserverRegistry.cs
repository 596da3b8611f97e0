using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>Every observer, a line each.</summary>
public static class ObserverRegistry
{
    private static readonly Dictionary<ObserverKind, Func<ObserverSpec, Observer>> Factories = new()
    {
    };

    /// <summary>The kinds that can be made.</summary>
    public static IReadOnlyCollection<ObserverKind> Kinds => Factories.Keys;

    /// <summary>Makes an observer.</summary>
    /// <exception cref="QuantException">UnknownObserver.</exception>
    public static Observer Create(ObserverSpec spec) => Factories.TryGetValue(spec.Kind, out Func<ObserverSpec, Observer>? make)
        ? make(spec)
        : throw new QuantException(ErrorIds.UnknownObserver, $"There is no observer {spec.Kind}. Known: {string.Join(", ", Factories.Keys)}.");
}
