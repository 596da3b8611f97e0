using System.Management.Automation;
using QuantPS.Engine.Numerics;

namespace QuantPS.Completion;

/// <summary>Lets a parameter of type <see cref="TorchVersion"/> take versions as people write them: 1.13, 2, 2.10, 2.x.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class TorchVersionAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) => (inputData is PSObject wrapped ? wrapped.BaseObject : inputData) switch
    {
        TorchVersion version => version,
        object value => Parse(Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture) ?? ""),
        null => inputData!,
    };

    internal static TorchVersion Parse(string text)
    {
        string version = text.Trim().TrimStart('v', 'V').Replace('_', '.');
        return version.StartsWith("1.13", StringComparison.Ordinal) ? TorchVersion.V1_13
            : version == "2" || version.StartsWith("2.", StringComparison.Ordinal) ? TorchVersion.V2
            : throw new ArgumentTransformationMetadataException($"'{text}' is no version of PyTorch whose arithmetic is known. Known: 1.13, 2.");
    }
}
