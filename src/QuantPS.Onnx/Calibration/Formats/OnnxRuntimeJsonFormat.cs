using System.Text.Json;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>calibration.json: TensorsData with lowest and highest of every value. Older versions of ONNX Runtime wrote pairs of numbers, which are
/// read as well.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py TensorData, TensorsData; quant_utils.py write_calibration_table (its JSON
/// encoder): an array is { "data", "dtype", "CLS": "numpy.array" }, an object has its class in "CLS".</remarks>
internal sealed class OnnxRuntimeJsonFormat : OnnxRuntimeTable
{
    public override IReadOnlyList<string> Extensions => ["json"];

    public override bool Recognizes(ReadOnlySpan<byte> bytes) => Json.TryRoot(bytes) is JsonElement root
        && (root.TryGetProperty("CLS", out _) || root.EnumerateObject().All(p => p.Value.ValueKind == JsonValueKind.Array
            || (p.Value.ValueKind == JsonValueKind.Object && p.Value.TryGetProperty("CLS", out _)))) && !root.TryGetProperty("activation_encodings", out _);

    public override void Write(CalibrationData calibration, Stream stream, string path, string version)
    {
        using Utf8JsonWriter json = new(stream);
        json.WriteStartObject();
        json.WriteString("CLS", "TensorsData");
        json.WriteStartObject("data");
        foreach ((string name, float min, float max) in Ranges(calibration))
        {
            json.WriteStartObject(name);
            Array("lowest", min);
            Array("highest", max);
            json.WriteString("CLS", "TensorData");
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteStartObject("calibration_method");
        json.WriteString("CLS", "CalibrationMethod");
        json.WriteString("value", $"CalibrationMethod.{Method(calibration.QConfig.Activation.Kind)}");
        json.WriteEndObject();
        json.WriteEndObject();

        void Array(string name, float value)
        {
            json.WriteStartObject(name);
            json.WritePropertyName("data");
            json.WriteRawValue(Number(value));
            json.WriteString("dtype", "float32");
            json.WriteString("CLS", "numpy.array");
            json.WriteEndObject();
        }
    }

    public override CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where)
    {
        using JsonDocument document = Json.Parse(bytes, (key, what, e) => Damaged(where, key, what, e));
        JsonElement root = document.RootElement;
        if (root.TryGetProperty("CLS", out JsonElement type))
        {
            if (type.ValueKind != JsonValueKind.String || type.GetString() != "TensorsData" || !root.TryGetProperty("data", out root) || root.ValueKind != JsonValueKind.Object)
                throw Damaged(where, "CLS", "TensorsData with an object \"data\" is wanted");
        }
        Dictionary<string, (float Min, float Max)> ranges = new(StringComparer.Ordinal);
        foreach (JsonProperty value in root.EnumerateObject())
        {
            (float min, float max) = RangeOf(value.Value, value.Name, where);
            ranges[value.Name] = min <= max ? (min, max) : throw Damaged(where, value.Name, $"its range runs from {min} to {max}");
        }
        return ImportedRanges.Create(model, config, ranges, CalibrationData.NothingGiven, where);
    }

    private static (float Min, float Max) RangeOf(JsonElement value, string name, string where)
    {
        if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 2)
            return (Numbers(value[0], name + "[0]").Min(), Numbers(value[1], name + "[1]").Max());
        if (value.ValueKind == JsonValueKind.Object)
        {
            if (value.TryGetProperty("lowest", out JsonElement lowest) && value.TryGetProperty("highest", out JsonElement highest))
                return (Numbers(lowest, name + ".lowest").Min(), Numbers(highest, name + ".highest").Max());
            // The distribution method has no other range than its histogram's.
            if (value.TryGetProperty("hist_edges", out JsonElement edges))
                return (Numbers(edges, name + ".hist_edges").First(), Numbers(edges, name + ".hist_edges").Last());
        }
        throw Damaged(where, name, "neither \"lowest\" and \"highest\" nor a pair of numbers");

        float[] Numbers(JsonElement element, string key)
        {
            if (element.ValueKind == JsonValueKind.Object && element.TryGetProperty("data", out JsonElement data))
                element = data;
            float[] numbers = element.ValueKind == JsonValueKind.Array ? [.. element.EnumerateArray().Select(e => One(e, key))] : [One(element, key)];
            return numbers.Length > 0 ? numbers : throw Damaged(where, key, "no number at all");
        }

        float One(JsonElement element, string key) => element.ValueKind == JsonValueKind.Number && (float)element.GetDouble() is float number && float.IsFinite(number)
            ? number : throw Damaged(where, key, $"{element} is not a finite number");
    }

    private static string Method(ObserverKind kind) =>
        kind is ObserverKind.Entropy or ObserverKind.Percentile or ObserverKind.Distribution ? kind.ToString() : nameof(ObserverKind.MinMax);
}
