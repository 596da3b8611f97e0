using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Serialization;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Calibration;

/// <summary>Calibrations as files: JSON with the configuration, the model's identity, and every observer's state by the name of its
/// value.</summary>
/// <remarks>Nothing is lost: what is read converts to the same bits, and can be observed with and merged further. The same calibration gives the
/// same bytes.</remarks>
public static class CalibrationFile
{
    /// <summary>What the field "format" says.</summary>
    public const string Format = "QuantPS.Calibration";

    /// <summary>The version that is written.</summary>
    public const int Version = 1;

    /// <param name="calibration">What to write.</param>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="compress">gzip.</param>
    /// <exception cref="QuantException">InvalidArgument: a calibration from another tool's file, which has no statistics.</exception>
    public static void Write(CalibrationData calibration, Stream stream, bool compress = false)
    {
        if (calibration.IsImported)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"The calibration of '{calibration.Original.Name}' was imported from another tool's file and has no "
                + "statistics to keep. Export it with -Format OnnxRuntime or Aimet, or keep that file.", calibration);
        }
        CalibrationDocument document = new()
        {
            Format = Format,
            Version = Version,
            Model = calibration.Identity,
            QConfig = QConfigState.Of(calibration.QConfig),
            Samples = calibration.SampleCount,
            Batches = calibration.BatchCount,
            Observers = States(calibration.Observers),
            Channels = calibration.Channels.Count > 0 ? States(calibration.Channels) : null,
        };
        if (!compress)
        {
            JsonSerializer.Serialize(stream, document, CalibrationJson.Default.CalibrationDocument);
            return;
        }
        using GZipStream gzip = new(stream, CompressionLevel.Optimal, leaveOpen: true);
        JsonSerializer.Serialize(gzip, document, CalibrationJson.Default.CalibrationDocument);
    }

    private static Dictionary<string, ObserverState> States(IReadOnlyDictionary<string, Observer> observers) =>
        observers.OrderBy(o => o.Key, StringComparer.Ordinal).ToDictionary(o => o.Key, o => o.Value.Save(), StringComparer.Ordinal);

    /// <summary>Reads a calibration and takes the model up again.</summary>
    /// <param name="bytes">The file, compressed or not.</param>
    /// <param name="model">The float model that was calibrated.</param>
    /// <param name="where">The file, for messages.</param>
    /// <exception cref="QuantException">FileFormat: damaged, or something else. FileTruncated. CalibrationMismatch: the model is another
    /// one.</exception>
    public static CalibrationData Read(byte[] bytes, OnnxModel model, string where)
    {
        CalibrationDocument document = Parse(bytes, where);
        QConfig config = document.QConfig.ToQConfig();
        OnnxModel run = PassRegistry.Apply(model);
        if (document.Model.DifferenceTo(ModelIdentity.Of(model, run)) is string difference)
        {
            throw new QuantException(ErrorIds.CalibrationMismatch,
                $"'{where}' is a calibration of '{document.Model.Name}'{(document.Model.Path is string p ? $" ({p})" : "")}, and "
                + $"'{model.Name}' is not that model: {difference}. Name the model that was calibrated, or calibrate this one.", model);
        }
        QuantizationPlan plan = new(run, config);
        string[] watched = [.. plan.Observed.Where(v => plan.FixedOutput(v, config) is null)];
        if (watched.Except(document.Observers.Keys, StringComparer.Ordinal).Concat(document.Observers.Keys.Except(watched, StringComparer.Ordinal)).FirstOrDefault() is string odd)
        {
            throw new QuantException(ErrorIds.CalibrationMismatch,
                $"'{where}' and this version of the module do not observe the same values of '{model.Name}': "
                + $"'{odd}' is in only one of them. Calibrate again.", where);
        }
        Dictionary<string, Observer> observers = new(StringComparer.Ordinal);
        foreach (string value in watched)
        {
            observers[value] = Located(() => Observer.Restore(document.Observers[value] ?? throw Damaged(where, "an empty state")), $"'{where}', value '{value}'");
            if (observers[value].Spec != plan.ConfigOf(value, config).Activation)
                throw Damaged(where, $"the observer of '{value}' is not the one that the configuration names");
        }
        Dictionary<string, Observer> channels = new(StringComparer.Ordinal);
        foreach ((string value, int axis) in ChannelEqualization.Watched(plan, config).Where(w => document.Channels?.ContainsKey(w.Value) == true))
        {
            channels[value] = Located(() => Observer.Restore(document.Channels![value] ?? throw Damaged(where, "an empty state")), $"'{where}', channels of '{value}'");
            if (channels[value].Spec != ChannelEqualization.CreateObserver(axis).Spec
                || (channels[value].HasObserved && channels[value].MinValues.Length != plan.Types[value]!.Dims[axis]))
                throw Damaged(where, $"the channels of '{value}' are not those of the model");
        }
        return new CalibrationData
        {
            Original = model,
            QConfig = config,
            Plan = plan,
            Observers = observers,
            Channels = channels,
            SampleCount = document.Samples,
            BatchCount = document.Batches,
        };
    }

    private static CalibrationDocument Parse(byte[] bytes, string where)
    {
        try
        {
            if (bytes is [0x1F, 0x8B, ..])
            {
                using GZipStream gzip = new(new MemoryStream(bytes), CompressionMode.Decompress);
                using MemoryStream plain = new();
                gzip.CopyTo(plain);
                bytes = plain.ToArray();
            }
            using (JsonDocument json = JsonDocument.Parse(bytes))
            {
                JsonElement root = json.RootElement;
                if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("format", out JsonElement format) || format.ValueKind != JsonValueKind.String || format.GetString() != Format)
                    throw new QuantException(ErrorIds.FileFormat, $"'{where}' is not a calibration. Export-Calibration writes them.", where);
                if (!root.TryGetProperty("version", out JsonElement version) || !version.TryGetInt32(out int number) || number != Version)
                {
                    throw new QuantException(ErrorIds.FileFormat,
                        $"'{where}' has version {(version.ValueKind == JsonValueKind.Undefined ? "none" : version.ToString())} of the format; this module reads version {Version}.", where);
                }
            }
            return JsonSerializer.Deserialize(bytes, CalibrationJson.Default.CalibrationDocument)!;
        }
        catch (InvalidDataException e)
        {
            throw new QuantException(ErrorIds.FileTruncated, $"'{where}' cannot be unpacked: {e.Message} Copy or export it again.", where, e);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Damaged(where, e.Message, e);
        }
    }

    private static QuantException Damaged(string where, string what, Exception? inner = null) =>
        new(ErrorIds.FileFormat, $"'{where}' is a damaged calibration: {what}. Copy or export it again.", where, inner);

    private static Observer Located(Func<Observer> restore, string where)
    {
        try
        {
            return restore();
        }
        catch (QuantException e)
        {
            throw new QuantException(ErrorIds.FileFormat, $"{where}: {e.Message}", e.Target, e);
        }
    }
}

/// <summary>The file's content.</summary>
internal sealed class CalibrationDocument
{
    [JsonRequired]
    public string Format { get; set; } = "";

    [JsonRequired]
    public int Version { get; set; }

    [JsonRequired]
    public ModelIdentity Model { get; set; } = null!;

    [JsonRequired]
    public QConfigState QConfig { get; set; } = null!;

    [JsonRequired]
    public long Samples { get; set; }

    [JsonRequired]
    public long Batches { get; set; }

    [JsonRequired]
    public Dictionary<string, ObserverState> Observers { get; set; } = [];

    public Dictionary<string, ObserverState>? Channels { get; set; }
}

/// <summary>A configuration in a file.</summary>
internal sealed class QConfigState
{
    [JsonRequired]
    public string Name { get; set; } = "";

    [JsonRequired]
    public EngineKind Backend { get; set; }

    [JsonRequired]
    public ObserverSpec Activation { get; set; } = null!;

    [JsonRequired]
    public ObserverSpec Weight { get; set; } = null!;

    public LayerOverride[] Overrides { get; set; } = [];

    public string[] Exclude { get; set; } = [];

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool ForceQuantize { get; set; }

    public static QConfigState Of(QConfig config) => new()
    {
        Name = config.Name,
        Backend = config.Backend,
        Activation = config.Activation,
        Weight = config.Weight,
        Overrides = [.. config.Overrides],
        Exclude = [.. config.Exclude],
        ForceQuantize = config.ForceQuantize,
    };

    public QConfig ToQConfig() =>
        new() { Name = Name, Backend = Backend, Activation = Activation, Weight = Weight, Overrides = [.. Overrides], Exclude = [.. Exclude], ForceQuantize = ForceQuantize };
}

/// <summary>The generated serializers.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    IgnoreReadOnlyProperties = true,
    RespectNullableAnnotations = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(CalibrationDocument))]
internal sealed partial class CalibrationJson : JsonSerializerContext;
