using System.Globalization;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>What ONNX Runtime's three calibration tables share: those that onnxruntime.quantization.write_calibration_table writes.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/quant_utils.py, write_calibration_table. The two smaller ones hold a single number a value,
/// the end of a range symmetric around 0, which TensorRT takes as the dynamic range: here the larger of the absolute ends. Versions of ONNX Runtime
/// that take the larger end without its sign give the same for the symmetric ranges these tables are meant for.</remarks>
internal abstract class OnnxRuntimeTable : CalibrationFormat
{
    public sealed override CalibrationFileKind Kind => CalibrationFileKind.OnnxRuntime;

    /// <summary>The chosen range of every observed value, by name in ordinal order.</summary>
    protected static IEnumerable<(string Name, float Min, float Max)> Ranges(CalibrationData calibration)
    {
        foreach ((string name, Observer observer) in calibration.Observers.OrderBy(o => o.Key, StringComparer.Ordinal))
        {
            if (!observer.HasRange || !observer.HasObserved)
                continue;
            (float[] min, float[] max) = observer.SelectRange();
            yield return (name, min.Min(), max.Max());
        }
    }

    /// <summary>As Python prints a float.</summary>
    protected static string Number(float value)
    {
        string text = ((double)value).ToString("R", CultureInfo.InvariantCulture);
        return text.AsSpan().IndexOfAny(".E") < 0 ? text + ".0" : text;
    }

    /// <summary>A calibration from one number a value.</summary>
    protected static CalibrationData FromEnds(IEnumerable<(string Name, string Text)> entries, OnnxModel model, QConfig? config, string where)
    {
        Dictionary<string, (float Min, float Max)> ranges = new(StringComparer.Ordinal);
        foreach ((string name, string text) in entries)
        {
            if (!float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float end) || !float.IsFinite(end))
                throw Damaged(where, name, $"'{text}' is not a finite number");
            ranges[name] = (-MathF.Abs(end), MathF.Abs(end));
        }
        return ImportedRanges.Create(model, config, ranges, CalibrationData.NothingGiven, where);
    }

    protected static QuantException Damaged(string where, string key, string what, Exception? inner = null) =>
        new(ErrorIds.FileFormat, $"'{where}' is a damaged calibration table of ONNX Runtime, at '{key}': {what}. Write it again with write_calibration_table.", where, inner);
}
