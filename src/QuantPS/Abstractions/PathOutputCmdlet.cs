using System.Management.Automation;

namespace QuantPS.Abstractions;

/// <summary>Writes a file: -Path or -LiteralPath, -Force to replace, -WhatIf and -Confirm. A leaf declares SupportsShouldProcess.</summary>
/// <typeparam name="T">What comes from the pipeline.</typeparam>
public abstract class PathOutputCmdlet<T> : PipelineCmdlet<T> where T : class
{
    /// <summary>Name of the parameter set of -Path.</summary>
    protected const string PathSet = "Path";

    /// <summary>Name of the parameter set of -LiteralPath.</summary>
    protected const string LiteralPathSet = "LiteralPath";

    /// <summary>The file to write. Wildcards must name exactly one existing file.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = PathSet)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>The file to write, taken letter by letter.</summary>
    [Parameter(Mandatory = true, ParameterSetName = LiteralPathSet)]
    [Alias("PSPath", "LP")]
    [ValidateNotNullOrEmpty]
    public string LiteralPath { get; set; } = "";

    /// <summary>Replaces an existing file.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>What the user gave, whichever parameter it was.</summary>
    protected string GivenPath => ParameterSetName == LiteralPathSet ? LiteralPath : Path;

    /// <summary>A path as the user gave it, absolute.</summary>
    protected string ResolvePath(string path) => ProviderPaths.ResolveOutput(this, path, ParameterSetName == LiteralPathSet);

    /// <summary>Writes one file, after asking; appears by rename. False when -WhatIf or the user said no.</summary>
    /// <param name="file">Absolute.</param>
    /// <param name="action">What -WhatIf shows: "Write tensor [1, 3, 8, 8]".</param>
    /// <param name="write">Writes the content.</param>
    protected bool Save(string file, string action, Action<Stream> write)
    {
        // Before the question: -WhatIf must not promise what would then be refused.
        OutputFile.CheckFree(file, Force);
        if (!ShouldProcess(file, action))
            return false;
        OutputFile.Write(file, Force, write);
        return true;
    }
}
