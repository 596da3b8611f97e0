using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;

namespace QuantPS.Commands;

/// <summary>Get-QConfig: the presets, PyTorch's and ONNX Runtime's.</summary>
[Cmdlet(VerbsCommon.Get, "QConfig")]
[OutputType(typeof(QConfig))]
public sealed class GetQConfigCommand : QuantCmdlet
{
    /// <summary>Names, with wildcards; all by default.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(QConfigCompleter))]
    public string[] Name { get; set; } = ["*"];

    /// <inheritdoc/>
    protected override void Process()
    {
        foreach (string pattern in Name)
        {
            if (!WildcardPattern.ContainsWildcardCharacters(pattern))
            {
                Guard(() => WriteObject(QConfigPresets.Get(pattern)), pattern);
                continue;
            }
            var wildcard = new WildcardPattern(pattern, WildcardOptions.IgnoreCase);
            foreach (string name in QConfigPresets.Names.Where(wildcard.IsMatch))
                WriteObject(QConfigPresets.Get(name));
        }
    }
}
