using System.Text.Json;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>AIMET's encodings, versions 0.6.1 (and those before it that say the same) and 1.0.0: scale and offset of activations and weights by
/// their names in the graph.</summary>
/// <remarks>Source: quic/aimet Docs/api_docs/quantization_encoding_specification.rst; TrainingExtensions/onnx/.../qc_quantize_op.py
/// _export_legacy_encodings, _export_1_0_0_encodings. A real value is scale * (q + offset) with q in 0..2^bits - 1: the offset is the smallest
/// integer less the zero point, -128 for symmetric 8 bits, whose integers are signed here. Weights of 8 bits are read as qint8.</remarks>
internal sealed class AimetFormat : CalibrationFormat
{
    private const string ListVersion = "1.0.0";

    public override CalibrationFileKind Kind => CalibrationFileKind.Aimet;

    public override IReadOnlyList<string> Extensions => ["encodings", "encodings.json"];

    public override IReadOnlyList<string> Versions => ["0.6.1", ListVersion];

    public override bool Recognizes(ReadOnlySpan<byte> bytes) => Json.TryRoot(bytes) is JsonElement root && root.TryGetProperty("activation_encodings", out _);

    public override void Write(CalibrationData calibration, Stream stream, string path, string version)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration);
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true });
        bool list = version == ListVersion;
        json.WriteStartObject();
        json.WriteString("version", version);
        Section("activation_encodings", graph.Plan.Observed.Concat(graph.Plan.Constants).Select(v => (v, graph.QParamsOf(v)!)));
        Section("param_encodings", graph.Nodes.SelectMany(n => n.Weights.Where(w => w.Value.DType != QDType.QInt32)
            .Select(w => (Name: GraphIndex.Input(n.Planned.Node, w.Key), w.Value.QParams))).DistinctBy(w => w.Name));
        json.WriteStartObject("quantizer_args");
        json.WriteNumber("activation_bitwidth", graph.QConfig.Activation.DType.Bits());
        json.WriteString("dtype", "int");
        json.WriteString("is_symmetric", Title(graph.QConfig.Weight.Scheme.IsSymmetric()));
        json.WriteNumber("param_bitwidth", graph.QConfig.Weight.DType.Bits());
        json.WriteString("per_channel_quantization", Title(graph.QConfig.Weight.Scheme.IsPerChannel()));
        json.WriteString("quant_scheme", "post_training_tf");
        json.WriteEndObject();
        json.WriteEndObject();

        void Section(string name, IEnumerable<(string Name, QParams Parameters)> entries)
        {
            json.WritePropertyName(name);
            Begin(list);
            foreach ((string tensor, QParams p) in entries.OrderBy(e => e.Name, StringComparer.Ordinal))
            {
                if (list)
                    WriteOne(tensor, p);
                else
                    WriteChannels(tensor, p);
            }
            End(list);
        }

        void WriteOne(string tensor, QParams p)
        {
            json.WriteStartObject();
            json.WriteString("name", tensor);
            json.WriteString("enc_type", p.IsPerChannel ? "PER_CHANNEL" : "PER_TENSOR");
            json.WriteString("dtype", "INT");
            json.WriteNumber("bw", p.DType.Bits());
            json.WriteBoolean("is_sym", IsSymmetric(p));
            json.WriteStartArray("scale");
            foreach (float scale in p.Scales)
                json.WriteNumberValue((double)scale);
            json.WriteEndArray();
            json.WriteStartArray("offset");
            foreach (int zeroPoint in p.ZeroPoints)
                json.WriteNumberValue(p.DType.Range().Min - zeroPoint);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        void WriteChannels(string tensor, QParams p)
        {
            json.WriteStartArray(tensor);
            (int low, int high) = p.DType.Range();
            for (int c = 0; c < p.Scales.Length; c++)
            {
                double scale = p.Scales[c];
                json.WriteStartObject();
                json.WriteNumber("min", scale * (low - p.ZeroPoints[c]));
                json.WriteNumber("max", scale * (high - p.ZeroPoints[c]));
                json.WriteNumber("scale", scale);
                json.WriteNumber("offset", low - p.ZeroPoints[c]);
                json.WriteNumber("bitwidth", p.DType.Bits());
                json.WriteString("is_symmetric", Title(IsSymmetric(p)));
                json.WriteString("dtype", "int");
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }

        void Begin(bool array)
        {
            if (array)
                json.WriteStartArray();
            else
                json.WriteStartObject();
        }

        void End(bool array)
        {
            if (array)
                json.WriteEndArray();
            else
                json.WriteEndObject();
        }
    }

    public override CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where)
    {
        using JsonDocument document = Json.Parse(bytes, Damaged);
        JsonElement root = document.RootElement;
        Dictionary<string, (float Min, float Max)> ranges = new(StringComparer.Ordinal);
        Dictionary<string, TensorOverride> given = new(StringComparer.Ordinal);
        foreach ((string name, Encoding[] channels) in Entries("activation_encodings"))
        {
            if (channels.Length != 1)
                throw Damaged($"activation_encodings.{name}", $"{channels.Length} encodings; an activation has one", null);
            Encoding e = channels[0];
            given[name] = ToOverride(channels, signed: e.IsSymmetric && e.Offset == -(1L << (e.Bits - 1)));
            ranges[name] = ((float)(e.Scale * e.Offset), (float)(e.Scale * (e.Offset + (1L << e.Bits) - 1)));
        }
        foreach ((string name, Encoding[] channels) in Entries("param_encodings"))
            given[name] = ToOverride(channels, signed: true);
        return ImportedRanges.Create(model, config, ranges, given, where);

        // Entries in floating point (dtype float) stay as they are, and so are left out.
        IEnumerable<(string, Encoding[])> Entries(string section)
        {
            if (!root.TryGetProperty(section, out JsonElement entries))
                throw Damaged(section, "it is missing", null);
            if (entries.ValueKind == JsonValueKind.Object)
            {
                foreach (JsonProperty p in entries.EnumerateObject())
                {
                    string key = $"{section}.{p.Name}";
                    JsonElement[] channels = p.Value.ValueKind == JsonValueKind.Array ? [.. p.Value.EnumerateArray()] : throw Damaged(key, "a list of encodings is wanted", null);
                    if (channels.Length == 0)
                        throw Damaged(key, "no encoding at all", null);
                    if (!channels.Any(c => IsFloat(c, key)))
                        yield return (p.Name, [.. channels.Select((c, i) => Old(c, $"{key}[{i}]"))]);
                }
                yield break;
            }
            if (entries.ValueKind != JsonValueKind.Array)
                throw Damaged(section, "a list (version 1.0.0) or an object (version 0.6.1) is wanted", null);
            int index = 0;
            foreach (JsonElement entry in entries.EnumerateArray())
            {
                string key = $"{section}[{index++}]";
                string name = Text(entry, "name", key);
                if (!IsFloat(entry, key))
                    yield return (name, New(entry, key));
            }
        }

        Encoding Old(JsonElement e, string key) =>
            Checked(Number(e, "scale", key), Number(e, "offset", key), Number(e, "bitwidth", key), Flag(e, "is_symmetric", key), key);

        Encoding[] New(JsonElement e, string key)
        {
            string type = Text(e, "enc_type", key);
            if (type is not ("PER_TENSOR" or "PER_CHANNEL"))
                throw Damaged($"{key}.enc_type", $"'{type}' has no form here; PER_TENSOR and PER_CHANNEL have", null);
            JsonElement[] scales = List(e, "scale", key), offsets = List(e, "offset", key);
            if (scales.Length == 0 || scales.Length != offsets.Length)
                throw Damaged(key, $"{scales.Length} scales and {offsets.Length} offsets", null);
            return [.. scales.Select((s, i) => Checked(Value(s, $"{key}.scale[{i}]"), Value(offsets[i], $"{key}.offset[{i}]"), Number(e, "bw", key), Flag(e, "is_sym", key), key))];
        }

        Encoding Checked(double scale, double offset, double bits, bool symmetric, string key)
        {
            if (!((float)scale > 0) || !float.IsFinite((float)scale))
                throw Damaged($"{key}.scale", $"{scale} is no scale; it has to be above 0", null);
            if (bits is not (4 or 8 or 16))
                throw Damaged(key, $"{bits} bits; 4, 8 and 16 can be read", null);
            // Versions before 0.6 wrote the zero point of TensorFlow's grid, which is positive.
            return offset == Math.Round(offset) && offset <= 0 && offset >= 1 - Math.Pow(2, bits) ? new((float)scale, (int)offset, (int)bits, symmetric)
                : throw Damaged($"{key}.offset", $"{offset} is not a whole number from {1 - Math.Pow(2, bits)} to 0", null);
        }

        QuantException Damaged(string key, string what, Exception? inner) =>
            new(ErrorIds.FileFormat, $"'{where}' is not a good file of AIMET's encodings, at '{key}': {what}. Export it again, as version 0.6.1 or 1.0.0.", where, inner);

        JsonElement Member(JsonElement e, string name, string key) => e.ValueKind == JsonValueKind.Object && e.TryGetProperty(name, out JsonElement member)
            ? member : throw Damaged($"{key}.{name}", "it is missing", null);

        double Value(JsonElement e, string key) => e.ValueKind == JsonValueKind.Number ? e.GetDouble() : throw Damaged(key, $"{e} is not a number", null);

        double Number(JsonElement e, string name, string key) => Value(Member(e, name, key), $"{key}.{name}");

        string Text(JsonElement e, string name, string key) => Member(e, name, key) is { ValueKind: JsonValueKind.String } text ? text.GetString()!
            : throw Damaged($"{key}.{name}", "a text is wanted", null);

        JsonElement[] List(JsonElement e, string name, string key) => Member(e, name, key) is { ValueKind: JsonValueKind.Array } list ? [.. list.EnumerateArray()]
            : throw Damaged($"{key}.{name}", "a list is wanted", null);

        bool Flag(JsonElement e, string name, string key) => Member(e, name, key).ToString() switch
        {
            "True" or "true" => true,
            "False" or "false" => false,
            string other => throw Damaged($"{key}.{name}", $"'{other}' is neither True nor False", null),
        };

        bool IsFloat(JsonElement e, string key) => e.ValueKind == JsonValueKind.Object && e.TryGetProperty("dtype", out JsonElement type)
            && (type.ToString().ToUpperInvariant() switch
            {
                "FLOAT" => true,
                "INT" => false,
                string other => throw Damaged($"{key}.dtype", $"'{other}' is neither int nor float", null),
            });
    }

    private static TensorOverride ToOverride(Encoding[] channels, bool signed)
    {
        int bits = channels[0].Bits, smallest = signed ? -(1 << (bits - 1)) : 0;
        return new TensorOverride
        {
            DType = (bits, signed) switch
            {
                (4, true) => QDType.QInt4,
                (4, false) => QDType.QUInt4,
                (8, true) => QDType.QInt8,
                (8, false) => QDType.QUInt8,
                (_, true) => QDType.QInt16,
                _ => QDType.QUInt16,
            },
            Scale = [.. channels.Select(c => c.Scale)],
            ZeroPoint = [.. channels.Select(c => smallest - c.Offset)],
        };
    }

    /// <summary>AIMET means symmetric integers by it: a signed type without a zero point.</summary>
    private static bool IsSymmetric(QParams p) => p.DType.Range().Min < 0 && p.HasZeroZeroPoints;

    private static string Title(bool value) => value ? "True" : "False";

    private readonly record struct Encoding(float Scale, int Offset, int Bits, bool IsSymmetric);
}
