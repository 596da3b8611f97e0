using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Execution;

/// <summary>What a model takes, and the checks of what it is given.</summary>
/// <param name="Where">The file or name of the model, for messages.</param>
/// <param name="Types">The inputs that have to be given.</param>
public sealed record ModelInputs(string Where, IReadOnlyList<ValueType> Types)
{
    /// <summary>The tensor under the name of the model's only input, with a batch dimension if it lacks one.</summary>
    /// <exception cref="QuantException">InvalidArgument: the model has several inputs.</exception>
    public IReadOnlyDictionary<string, Tensor> Named(Tensor input) => Types is [ValueType only]
        ? new Dictionary<string, Tensor> { [only.Name] = only.WithBatchDimension(input) }
        : throw new QuantException(ErrorIds.InvalidArgument,
            $"'{Where}' has {Types.Count} inputs ({string.Join(", ", Types)}); give a hashtable with a tensor for each, "
            + $"@{{ {string.Join("; ", Types.Select(t => $"{t.Name} = ..."))} }}.", input);

    /// <summary>Samples in a batch: the first dimension of the first input.</summary>
    public int SampleCount(IReadOnlyDictionary<string, Tensor> inputs) =>
        Types.Count > 0 && inputs.TryGetValue(Types[0].Name, out Tensor? first) && first.Rank > 0 ? first.Dims[0] : 1;

    /// <summary>Throws unless there is a fitting tensor for every input, and none besides.</summary>
    /// <exception cref="QuantException">InvalidArgument (missing or unknown), ShapeMismatch, UnsupportedDType.</exception>
    public void Check(IReadOnlyDictionary<string, Tensor> inputs)
    {
        foreach (string name in inputs.Keys)
        {
            if (!Types.Any(i => i.Name == name))
                throw new QuantException(ErrorIds.InvalidArgument,
                    $"'{Where}' has no input '{name}'. Its inputs: {string.Join(", ", Types)}.", name);
        }
        foreach (ValueType input in Types)
        {
            if (!inputs.TryGetValue(input.Name, out Tensor? tensor))
                throw new QuantException(ErrorIds.InvalidArgument, $"The input {input} of '{Where}' is not given.", input.Name);
            if (!InputValues.Takes(input.ElementType))
            {
                throw new QuantException(ErrorIds.UnsupportedDType, $"The input '{input.Name}' of '{Where}' takes "
                    + $"{(input.ElementType == DataType.Undefined ? "no tensor but a sequence, an optional value or a map" : input.ElementType)}; "
                    + "only tensors of numbers and booleans can be given.", tensor);
            }
            if (!input.Accepts(tensor.Dims))
                throw new QuantException(ErrorIds.ShapeMismatch,
                    $"The input '{input.Name}' of '{Where}' expects {input.ShapeText}, "
                    + $"but the tensor{(tensor.Source is null ? "" : $" from {tensor.Source}")} has the shape "
                        + $"[{TensorShape.Format(tensor.Dims)}].", tensor);
        }
    }
}
