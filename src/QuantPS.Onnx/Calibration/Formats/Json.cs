using System.Text.Json;
using QuantPS.Engine.Errors;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>JSON files with an object at the top.</summary>
internal static class Json
{
    /// <summary>The object; null for anything else. It lives on without its document.</summary>
    public static JsonElement? TryRoot(ReadOnlySpan<byte> bytes)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes.ToArray());
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <param name="bytes">The file.</param>
    /// <param name="damaged">Makes the error of a key, and what is wrong with it.</param>
    /// <exception cref="QuantException">What <paramref name="damaged"/> makes.</exception>
    public static JsonDocument Parse(byte[] bytes, Func<string, string, Exception?, QuantException> damaged)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(bytes);
        }
        catch (JsonException e)
        {
            throw damaged($"line {e.LineNumber + 1}", e.Message, e);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw damaged("the top", "an object is wanted", null);
    }
}
