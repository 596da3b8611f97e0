using System.Text;
using QuantPS.Engine.Configuration;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>calibration.cache: a line a value, its name, a blank, and the end of its range.</summary>
internal sealed class OnnxRuntimeCacheFormat : OnnxRuntimeTable
{
    public override IReadOnlyList<string> Extensions => ["cache"];

    public override bool Recognizes(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> line = bytes[..(bytes.IndexOf((byte)'\n') is int end and >= 0 ? end : bytes.Length)].TrimEnd((byte)'\r');
        int blank = line.LastIndexOf((byte)' ');
        return blank > 0 && float.TryParse(Encoding.UTF8.GetString(line[(blank + 1)..]), System.Globalization.CultureInfo.InvariantCulture, out _);
    }

    public override void Write(CalibrationData calibration, Stream stream, string path, string version)
    {
        foreach ((string name, float min, float max) in Ranges(calibration))
            stream.Write(Encoding.UTF8.GetBytes($"{name} {Number(MathF.Max(MathF.Abs(min), MathF.Abs(max)))}\n"));
    }

    public override CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where)
    {
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        return FromEnds(lines.Select((line, i) => (Line: line.TrimEnd('\r'), Number: i + 1)).Where(l => l.Line.Length > 0).Select(l =>
        {
            // Names of values may hold blanks.
            int blank = l.Line.LastIndexOf(' ');
            return blank > 0 ? (l.Line[..blank], l.Line[(blank + 1)..]) : throw Damaged(where, $"line {l.Number}", "no name and number with a blank between");
        }), model, config, where);
    }
}
