using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Execution;

/// <summary>What a model is given for one run: the tensor of its only input, or a tensor under the name of each input.</summary>
/// <remarks>A tensor may lack the batch dimension; it then is a batch of one. Tensors are float32; an input of another type takes them when every value
/// is one of that type.</remarks>
public sealed class ModelSample
{
    private readonly Tensor? only;
    private readonly IReadOnlyDictionary<string, Tensor>? named;

    /// <summary>For a model with one input.</summary>
    public ModelSample(Tensor only) => this.only = only;

    /// <summary>For a model with any number of inputs. Names may differ from the model's in case where that leaves no doubt.</summary>
    public ModelSample(IReadOnlyDictionary<string, Tensor> named) => this.named = named;

    /// <summary>The tensors.</summary>
    public IEnumerable<Tensor> Tensors => only is null ? named!.Values : [only];

    /// <summary>Where the first tensor that has one came from.</summary>
    public string? Source => Tensors.FirstOrDefault(t => t.Source is not null)?.Source;

    /// <summary>How many samples the sequence has that this is one of, if that is known.</summary>
    public long? SequenceLength => Tensors.FirstOrDefault(t => t.SequenceLength is not null)?.SequenceLength;

    /// <summary>For a model with one input.</summary>
    public static implicit operator ModelSample(Tensor only) => new(only);

    /// <summary>The tensors under the names of a model's inputs, with a batch dimension where it lacks. Whether they fit, <see cref="ModelInputs.Check"/>
    /// says.</summary>
    /// <exception cref="Engine.Errors.QuantException">InvalidArgument: one tensor for a model that has not just one input.</exception>
    public IReadOnlyDictionary<string, Tensor> For(ModelInputs inputs)
    {
        if (only is not null)
            return inputs.Named(only);
        Dictionary<string, Tensor> found = new(StringComparer.Ordinal);
        foreach ((string name, Tensor tensor) in named!)
        {
            ValueType[] alike = [.. inputs.Types.Where(t => t.Name.Equals(name, StringComparison.OrdinalIgnoreCase))];
            ValueType? type = alike.FirstOrDefault(t => t.Name == name) ?? (alike is [var one] && !named.ContainsKey(one.Name) ? one : null);
            found[type?.Name ?? name] = type?.WithBatchDimension(tensor) ?? tensor;
        }
        return found;
    }

    /// <inheritdoc/>
    public override string ToString() => only?.ToString() ?? $"{{ {string.Join(", ", named!.Select(n => $"{n.Key} = {n.Value}"))} }}";
}
