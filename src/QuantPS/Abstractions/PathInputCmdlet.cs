using System.Management.Automation;
using QuantPS.Engine.Errors;

namespace QuantPS.Abstractions;

/// <summary>Reads files named by -Path (wildcards) or -LiteralPath, by value or by property (Get-ChildItem's PSPath, FileInfo's FullName).</summary>
public abstract class PathInputCmdlet : QuantCmdlet
{
    /// <summary>Name of the parameter set of -Path.</summary>
    protected const string PathSet = "Path";

    /// <summary>Name of the parameter set of -LiteralPath.</summary>
    protected const string LiteralPathSet = "LiteralPath";

    /// <summary>Files, with wildcards. Matches come in ordinal order of their paths, so that the same folder gives the same sequence everywhere.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true, ParameterSetName = PathSet)]
    [ValidateNotNullOrEmpty]
    public string[] Path { get; set; } = [];

    /// <summary>Files, taken letter by letter.</summary>
    [Parameter(Mandatory = true, ValueFromPipelineByPropertyName = true, ParameterSetName = LiteralPathSet)]
    [Alias("PSPath", "FullName", "LP")]
    [ValidateNotNullOrEmpty]
    public string[] LiteralPath { get; set; } = [];

    /// <summary>How many files the path at hand names.</summary>
    protected int FileCount { get; private set; }

    /// <summary>Reads one file. Exceptions become non-terminating errors about it.</summary>
    /// <param name="file">An existing file, absolute.</param>
    protected abstract void ProcessFile(string file);

    /// <inheritdoc/>
    protected sealed override void Process()
    {
        bool literal = ParameterSetName == LiteralPathSet;
        foreach (string path in literal ? LiteralPath : Path)
        {
            IReadOnlyList<string> files = [];
            Guard(() => files = ProviderPaths.ResolveInput(this, path, literal), path);
            FileCount = files.Count;
            foreach (string file in files)
            {
                Cancellation.ThrowIfCancellationRequested();
                Guard(() => ProcessFile(file), file);
            }
        }
    }
}
