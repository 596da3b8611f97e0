namespace QuantPS.Onnx.Model;

/// <summary>Finds the file that a model names for its data, if that lies in the model's folder once links and ".." are resolved.</summary>
/// <remarks>A model is data from somewhere else: it must not make its reader open any other file. The folder is the one that the model was
/// named in, or the one that it really lies in where the name is a link, as download caches make them.</remarks>
internal static class ConfinedPath
{
    private const int MostLinks = 40;

    private static readonly StringComparison Comparison =
        OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;

    /// <summary>The real path of the file, which need not exist; null where it lies outside.</summary>
    /// <param name="model">Path of the model.</param>
    /// <param name="location">What the model says.</param>
    public static string? Resolve(string model, string location)
    {
        if (location.Contains('\0') || location.StartsWith('\\') || Path.IsPathRooted(location))
            return null;
        string named = Path.GetFullPath(model), folder = RealPath(Path.GetDirectoryName(named)!), own = Path.GetDirectoryName(RealPath(named))!;
        string file = RealPath(Path.Combine(folder, location));
        if (!Path.Exists(file))
        {
            // A link's neighbours are sought beside its target too.
            string beside = RealPath(Path.Combine(own, location));
            file = Path.Exists(beside) ? beside : file;
        }
        return IsInside(file, folder) || IsInside(file, own) ? file : null;
    }

    /// <summary>An absolute path without links, "." and "..".</summary>
    /// <exception cref="IOException">Links that lead nowhere but to themselves.</exception>
    public static string RealPath(string path)
    {
        string current = Path.GetPathRoot(path)!;
        Stack<string> rest = new();
        Push(path[current.Length..]);
        for (int links = 0; rest.TryPop(out string? part);)
        {
            if (part == "..")
            {
                current = Path.GetDirectoryName(current) ?? current;
                continue;
            }
            string next = Path.Combine(current, part);
            FileSystemInfo info = Directory.Exists(next) ? new DirectoryInfo(next) : new FileInfo(next);
            if (info.LinkTarget is not string target)
            {
                current = next;
                continue;
            }
            if (++links > MostLinks)
                throw new IOException($"'{path}' goes through more than {MostLinks} links.");
            if (Path.IsPathRooted(target))
                current = Path.GetPathRoot(target)!;
            Push(target[(Path.IsPathRooted(target) ? current.Length : 0)..]);
        }
        return current;

        void Push(string parts)
        {
            char[] separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];
            foreach (string part in parts.Split(separators, StringSplitOptions.RemoveEmptyEntries).Where(p => p != ".").Reverse())
                rest.Push(part);
        }
    }

    private static bool IsInside(string file, string folder) =>
        file.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, Comparison);
}
