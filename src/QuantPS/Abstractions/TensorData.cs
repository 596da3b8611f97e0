using System.Collections;
using System.Management.Automation;
using QuantPS.Data.Importing;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;

namespace QuantPS.Abstractions;

/// <summary>Samples as a user gives them, tensors and paths of files, to be gone through as often as needed.</summary>
internal sealed class TensorData
{
    private readonly List<object> items = [];

    /// <exception cref="QuantException">InvalidArgument: something else, or nothing. FileNotFound.</exception>
    public TensorData(PSCmdlet cmdlet, IEnumerable<object?> given)
    {
        foreach (object? item in given)
            Add(cmdlet, item is PSObject wrapped ? wrapped.BaseObject : item);
        if (items.Count == 0)
            throw new QuantException(ErrorIds.InvalidArgument, "-Data gives no tensor; at least one is needed to calibrate with.");
    }

    /// <summary>How many tensors there are; null where files have to be read to know.</summary>
    public int? Count => items.TrueForAll(i => i is not string) ? items.Count : null;

    /// <summary>What the model is given, run by run. Those of a file are read anew every time, and not kept.</summary>
    public IEnumerable<ModelSample> Samples()
    {
        foreach (object item in items)
        {
            if (item is ModelSample sample)
            {
                yield return sample;
                continue;
            }
            foreach (Tensor read in new TensorImporter(new ImportOptions()).Read((string)item))
                yield return read;
        }
    }

    private void Add(PSCmdlet cmdlet, object? item)
    {
        switch (item)
        {
            case Tensor or IDictionary:
                items.Add(TensorInputCmdlet.ToSample(item));
                break;
            case string path:
                items.AddRange(ProviderPaths.ResolveInput(cmdlet, path, literal: false));
                break;
            case FileInfo file:
                items.AddRange(ProviderPaths.ResolveInput(cmdlet, file.FullName, literal: true));
                break;
            case object[] several:
                foreach (object? one in several)
                    Add(cmdlet, one is PSObject wrapped ? wrapped.BaseObject : one);
                break;
            default:
                throw new QuantException(ErrorIds.InvalidArgument,
                    $"-Data takes tensors (Import-Tensor), hashtables of them for models with several inputs, paths of files, or a script block that gives them, not {item?.GetType().Name ?? "null"}.", item);
        }
    }
}
