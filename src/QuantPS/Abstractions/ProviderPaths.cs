using System.Management.Automation;
using QuantPS.Engine.Errors;

namespace QuantPS.Abstractions;

/// <summary>PowerShell paths (drives, ~, wildcards, relative to $PWD) to absolute file names.</summary>
public static class ProviderPaths
{
    private const string FileSystem = "FileSystem";

    /// <summary>The existing files that a path names.</summary>
    /// <param name="cmdlet">Whose session resolves it.</param>
    /// <param name="path">As the user gave it.</param>
    /// <param name="literal">Wildcard characters are letters like any other.</param>
    /// <exception cref="QuantException">FileNotFound; FileUnreadable: a folder; InvalidArgument: not a file system path.</exception>
    public static IReadOnlyList<string> ResolveInput(PSCmdlet cmdlet, string path, bool literal)
    {
        try
        {
            if (literal || !WildcardPattern.ContainsWildcardCharacters(path))
                return [ExistingFile(path, Unresolved(cmdlet, path))];
            string[] matches = [.. cmdlet.GetResolvedProviderPathFromPSPath(path, out ProviderInfo provider).Where(File.Exists).Order(StringComparer.Ordinal)];
            CheckFileSystem(provider, path);
            return matches.Length > 0 ? matches : throw new QuantException(ErrorIds.FileNotFound, $"No file matches '{path}'.", path);
        }
        catch (Exception e) when (e is ItemNotFoundException or System.Management.Automation.DriveNotFoundException or ProviderNotFoundException)
        {
            throw new QuantException(ErrorIds.FileNotFound, $"No file matches '{path}': {e.Message}", path, e);
        }
    }

    /// <summary>Where a file that need not exist is to be written.</summary>
    /// <exception cref="QuantException">FileNotFound: no such drive; InvalidArgument: wildcards that name no or several files, not a file system path.</exception>
    public static string ResolveOutput(PSCmdlet cmdlet, string path, bool literal)
    {
        try
        {
            if (literal || !WildcardPattern.ContainsWildcardCharacters(path))
                return Unresolved(cmdlet, path);
            string[] matches = [.. cmdlet.GetResolvedProviderPathFromPSPath(path, out ProviderInfo provider)];
            CheckFileSystem(provider, path);
            return matches.Length == 1 ? matches[0] : throw new QuantException(ErrorIds.InvalidArgument,
                $"'{path}' has wildcards and names {matches.Length} files; an output is one file. Use -LiteralPath if the characters are meant as they are.", path);
        }
        catch (Exception e) when (e is ItemNotFoundException or System.Management.Automation.DriveNotFoundException or ProviderNotFoundException)
        {
            throw new QuantException(ErrorIds.FileNotFound, $"'{path}' cannot be resolved: {e.Message}", path, e);
        }
    }

    private static string Unresolved(PSCmdlet cmdlet, string path)
    {
        string file = cmdlet.SessionState.Path.GetUnresolvedProviderPathFromPSPath(path, out ProviderInfo provider, out _);
        CheckFileSystem(provider, path);
        return file;
    }

    private static string ExistingFile(string path, string file)
    {
        if (File.Exists(file))
            return file;
        throw Directory.Exists(file)
            ? new QuantException(ErrorIds.FileUnreadable, $"'{file}' is a folder. Name the files in it, for instance '{System.IO.Path.Combine(path, "*")}'.", file)
            : new QuantException(ErrorIds.FileNotFound, $"There is no file '{file}'.", file);
    }

    private static void CheckFileSystem(ProviderInfo provider, string path)
    {
        if (provider.Name != FileSystem)
            throw new QuantException(ErrorIds.InvalidArgument, $"'{path}' belongs to the provider {provider.Name}; give a path of the file system.", path);
    }
}
