using System.Globalization;
using System.Management.Automation;
using QuantPS.Data.Importing;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Abstractions;

/// <summary>Labels as a user gives them: integers, a tensor of them, or the path of a file.</summary>
internal static class LabelReader
{
    /// <exception cref="QuantException">FileNotFound, FileFormat, LabelMismatch: not whole numbers.</exception>
    public static int[] Read(PSCmdlet cmdlet, object given)
    {
        object value = given is PSObject wrapped ? wrapped.BaseObject : given;
        if (value is string path)
        {
            string file = ProviderPaths.ResolveInput(cmdlet, path, literal: true)[0];
            var importer = new TensorImporter(new ImportOptions());
            return [.. importer.Read(file, CancellationToken.None).ToArray().Concat(importer.Flush() is Tensor rest ? [rest] : []).SelectMany(t => Whole(t, file))];
        }
        if (value is Tensor tensor)
            return Whole(tensor, tensor.Source ?? "the tensor");
        return (int[])LanguagePrimitives.ConvertTo(value, typeof(int[]), CultureInfo.InvariantCulture);
    }

    private static int[] Whole(Tensor tensor, string where) => [.. tensor.ToArray().Select(v => v == MathF.Floor(v) && MathF.Abs(v) < 1 << 24
        ? (int)v
        : throw new QuantException(ErrorIds.LabelMismatch, $"'{where}' holds {v}; labels are whole numbers.", where))];
}
