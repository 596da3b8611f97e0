using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime;

/// <summary>Constants of a quantized model for our nodes: its own, and what its integer nodes make of constants. Computed when asked for, once.</summary>
internal sealed class ConstantValues(OnnxModel model, ValueTypes types)
{
    private readonly Dictionary<string, GraphValue?> known = new(StringComparer.Ordinal);
    private readonly Dictionary<NodeProto, bool> constant = new(ReferenceEqualityComparer.Instance);

    /// <summary>Whether a value is a constant, of whatever type.</summary>
    public bool Has(string value) => model.Graph.Constant(value) is not null || model.Graph.SparseConstant(value) is not null
        || (model.Graph.Producer(value) is { } node && IsConstant(node));

    /// <summary>Whether a node of ours takes nothing but constants.</summary>
    public bool IsConstant(NodeProto node)
    {
        if (!constant.TryGetValue(node, out bool all))
        {
            constant[node] = all = IntegerOperatorRegistry.Find(node) is { } found && node.Input.Any(i => i.Length > 0)
                && node.Input.All(i => i.Length == 0 || Has(i)) && found.Claims(new IntegerNode(model, types, node));
        }
        return all;
    }

    /// <summary>A constant; null when the value is none.</summary>
    /// <exception cref="QuantException">UnsupportedDType: of a type that our nodes do not take. ShapeMismatch.</exception>
    public GraphValue? Find(string value)
    {
        if (known.TryGetValue(value, out GraphValue? found))
            return found;
        if (model.Graph.Constant(value) is TensorProto proto)
        {
            return known[value] = proto.Type() == DataType.Float ? new GraphValue(proto.ToTensor())
                : IntegerTensor.Holds(proto.Type()) ? new GraphValue(IntegerTensor.FromProto(proto))
                : throw new QuantException(ErrorIds.UnsupportedDType,
                    $"The constant '{value}' of '{model.Name}' is {proto.Type()}, which cannot be an output here.", value);
        }
        if (model.Graph.Producer(value) is not { } node || !IsConstant(node))
            return known[value] = null;
        GraphValue[] made = IntegerOperatorRegistry.Find(node)!.Plan(new IntegerNode(model, types, node))(
            [.. node.Input.Select(i => i.Length == 0 ? null : Find(i))]);
        for (int i = 0; i < node.Output.Count; i++)
            known[node.Output[i]] = made[i];
        return known[value];
    }

    /// <summary>Forgets all others.</summary>
    public void Keep(IReadOnlyCollection<string> values)
    {
        foreach (string value in values)
            Find(value);
        foreach (string other in known.Keys.Except(values).ToArray())
            known.Remove(other);
    }

    /// <summary>The same for a float part.</summary>
    public TensorProto? Proto(string value) => model.Graph.Constant(value)
        ?? (Find(value) is { } made ? made.Typed?.ToProto(value) ?? TensorProtos.Create(value, made.Real()) : null);
}
