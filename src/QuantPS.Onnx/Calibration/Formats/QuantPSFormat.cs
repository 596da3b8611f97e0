using System.Text;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>This module's own files: see <see cref="CalibrationFile"/>.</summary>
internal sealed class QuantPSFormat : CalibrationFormat
{
    public override CalibrationFileKind Kind => CalibrationFileKind.QuantPS;

    public override IReadOnlyList<string> Extensions => ["json", "json.gz"];

    public override bool Recognizes(ReadOnlySpan<byte> bytes) =>
        bytes is [0x1F, 0x8B, ..] || Encoding.UTF8.GetString(bytes[..Math.Min(bytes.Length, 256)]).Contains($"\"{CalibrationFile.Format}\"", StringComparison.Ordinal);

    public override void Write(CalibrationData calibration, Stream stream, string path, string version) =>
        CalibrationFile.Write(calibration, stream, path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase));

    public override CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where) => config is null
        ? CalibrationFile.Read(bytes, model, where)
        : throw new QuantException(ErrorIds.InvalidArgument, $"'{where}' has a QConfig of its own, to which its statistics belong. Leave -QConfig away.", config);
}
