using QuantPS.Engine.Errors;

namespace QuantPS.Abstractions;

/// <summary>Writes a file whole or not at all: under a temporary name beside it, then renamed.</summary>
public static class OutputFile
{
    /// <summary>Throws when a file is there and may not be replaced.</summary>
    /// <exception cref="QuantException">FileExists; FileNotWritable: a folder is there, or its folder is not.</exception>
    public static void CheckFree(string file, bool force)
    {
        if (Directory.Exists(file))
            throw new QuantException(ErrorIds.FileNotWritable, $"'{file}' is a folder; name a file in it.", file);
        if (!force && File.Exists(file))
            throw new QuantException(ErrorIds.FileExists, $"'{file}' exists already. Use -Force to replace it.", file);
        if (Path.GetDirectoryName(file) is { Length: > 0 } folder && !Directory.Exists(folder))
            throw new QuantException(ErrorIds.FileNotWritable, $"The folder '{folder}' does not exist; create it first.", file);
    }

    /// <summary>Writes the file. Whatever goes wrong, there is either the old one or the whole new one, and nothing else.</summary>
    /// <exception cref="QuantException">FileExists, FileNotWritable; what <paramref name="write"/> throws passes.</exception>
    public static void Write(string file, bool force, Action<Stream> write)
    {
        CheckFree(file, force);
        string temporary = Path.Combine(Path.GetDirectoryName(file) ?? "", $".{Path.GetFileName(file)}.{Guid.NewGuid():N}.tmp");
        try
        {
            using (FileStream stream = new(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None))
                write(stream);
            File.Move(temporary, file, force);
        }
        catch (Exception e)
        {
            TryDelete(temporary);
            if (e is IOException && !force && File.Exists(file))
                throw new QuantException(ErrorIds.FileExists, $"'{file}' exists already. Use -Force to replace it.", file, e);
            if (e is IOException or UnauthorizedAccessException or NotSupportedException or System.Security.SecurityException)
                throw new QuantException(ErrorIds.FileNotWritable, $"'{file}' cannot be written: {e.Message}", file, e);
            throw;
        }
    }

    private static void TryDelete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The error that brought us here is the one to report.
        }
    }
}
