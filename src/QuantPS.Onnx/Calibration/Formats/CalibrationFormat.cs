using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>One form of file that holds a calibration. One file each, one line in <see cref="CalibrationFormats"/>.</summary>
public abstract class CalibrationFormat
{
    public abstract CalibrationFileKind Kind { get; }

    /// <summary>Ends of the names of such files, without the dot; the first is what the format's own tool calls them.</summary>
    public abstract IReadOnlyList<string> Extensions { get; }

    /// <summary>Versions that can be written, the usual one first; empty where there is only one.</summary>
    public virtual IReadOnlyList<string> Versions => [];

    /// <summary>Whether bytes look like such a file, whatever its name.</summary>
    public abstract bool Recognizes(ReadOnlySpan<byte> bytes);

    /// <param name="calibration">What to write.</param>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="path">The file's name.</param>
    /// <param name="version">One of <see cref="Versions"/>.</param>
    /// <exception cref="QuantException">What a conversion refuses, for formats that hold its result.</exception>
    public abstract void Write(CalibrationData calibration, Stream stream, string path, string version);

    /// <param name="bytes">The file.</param>
    /// <param name="model">The float model that it belongs to.</param>
    /// <param name="config">How to quantize; null for what the file says, or else the preset onnxruntime.</param>
    /// <param name="where">The file, for messages.</param>
    /// <exception cref="QuantException">FileFormat, FileTruncated: with the file, the key, and what to do. CalibrationMismatch: it belongs to another
    /// model.</exception>
    public abstract CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where);
}

/// <summary>Every format, a line each.</summary>
public static class CalibrationFormats
{
    private static readonly CalibrationFormat[] All = [new QuantPSFormat(), new OnnxRuntimeJsonFormat(), new OnnxRuntimeFlatBuffersFormat(), new OnnxRuntimeCacheFormat(), new AimetFormat()];

    /// <summary>The format to write a file in: of the kind that is wanted, the one whose extension the file has, or else the first.</summary>
    /// <exception cref="QuantException">InvalidArgument: a version that the format does not have.</exception>
    public static CalibrationFormat ForWriting(CalibrationFileKind kind, string path, ref string? version)
    {
        CalibrationFormat[] candidates = [.. All.Where(f => f.Kind == kind)];
        CalibrationFormat format = candidates.FirstOrDefault(f => f.HasExtension(path)) ?? candidates[0];
        version ??= format.Versions.FirstOrDefault() ?? "";
        if (version.Length > 0 && !format.Versions.Contains(version))
        {
            string known = format.Versions.Count > 0 ? $"Known: {string.Join(", ", format.Versions)}." : "It has only one; leave the version away.";
            throw new QuantException(ErrorIds.InvalidArgument, $"The format {kind} has no version '{version}' to write. {known}", version);
        }
        return format;
    }

    /// <summary>The format of a file: by its content, and where that does not tell, by its name.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="path">Its name.</param>
    /// <param name="kind">What the user says that it is; null to find out.</param>
    /// <exception cref="QuantException">FileFormat: none of the formats.</exception>
    public static CalibrationFormat ForReading(ReadOnlySpan<byte> bytes, string path, CalibrationFileKind? kind)
    {
        CalibrationFormat? found = null;
        foreach (CalibrationFormat format in All)
        {
            if ((kind is null || format.Kind == kind) && format.Recognizes(bytes) && (found is null || (!found.HasExtension(path) && format.HasExtension(path))))
                found = format;
        }
        // A damaged file has its name still, and its format knows best what is wrong with it.
        found ??= Array.Find(All, f => (kind is null || f.Kind == kind) && f.HasExtension(path)) ?? Array.Find(All, f => f.Kind == kind);
        return found ?? throw new QuantException(ErrorIds.FileFormat, $"'{path}' is none of the known calibrations "
            + $"({string.Join(", ", All.Select(f => $"{f.Kind} *.{f.Extensions[0]}"))}). Name its format with -Format if it is one.", path);
    }

    private static bool HasExtension(this CalibrationFormat format, string path) =>
        format.Extensions.Any(e => path.EndsWith("." + e, StringComparison.OrdinalIgnoreCase));
}
