using System.Text.Json;
using System.Text.Json.Serialization;
using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>Observers as JSON and back, without loss.</summary>
/// <remarks>float32 values are written with as many digits as tell them apart, infinities and NaN as "Infinity", "-Infinity", "NaN".</remarks>
public static class ObserverJson
{
    public static string Write(Observer observer) => JsonSerializer.Serialize(observer.Save(), ObserverJsonContext.Default.ObserverState);

    /// <exception cref="QuantException">FileFormat: not such JSON, or a state that does not fit together.</exception>
    public static Observer Read(string json)
    {
        try
        {
            return Observer.Restore(JsonSerializer.Deserialize(json, ObserverJsonContext.Default.ObserverState) ?? throw ObserverState.Damaged("null"));
        }
        catch (JsonException e)
        {
            throw new QuantException(ErrorIds.FileFormat, $"This is not an observer's state: {e.Message}", null, e);
        }
    }
}

/// <summary>The generated serializers.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    IgnoreReadOnlyProperties = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(ObserverState))]
internal sealed partial class ObserverJsonContext : JsonSerializerContext;
