using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Execution;

/// <summary>Element types and shapes of every value of a graph, by ONNX Runtime's shape inference.</summary>
public sealed class ValueTypes
{
    private readonly Dictionary<string, ValueType> types = new(StringComparer.Ordinal);

    private ValueTypes()
    {
    }

    /// <summary>The model's inputs.</summary>
    public required ModelInputs Inputs { get; init; }

    /// <summary>The type of a value; null when it is unknown (an initializer, a value in a subgraph).</summary>
    public ValueType? this[string value] => types.GetValueOrDefault(value);

    public bool IsFloat(string value) => this[value]?.ElementType == DataType.Float;

    /// <summary>Loads the model with every value as an output and asks what they are. Of a model with an operator that ONNX Runtime does not know,
    /// what the model itself says.</summary>
    /// <exception cref="QuantException">InvalidModel.</exception>
    public static ValueTypes Infer(OnnxModel model)
    {
        try
        {
            return InferByOnnxRuntime(model);
        }
        catch (QuantException e) when (e.ErrorId == ErrorIds.UnsupportedOperator)
        {
            return Declared(model);
        }
    }

    private static ValueTypes InferByOnnxRuntime(OnnxModel model)
    {
        // ONNX Runtime's .NET binding cannot say that a value has a 4-bit type, so such values must not be outputs.
        Dictionary<string, DataType> fourBit = model.Graph.Nodes.Where(n => FourBitType(model, n) is not null)
            .ToDictionary(n => n.Output[0], n => FourBitType(model, n)!.Value);
        IEnumerable<string> computed = model.Graph.Nodes.SelectMany(n => n.Output)
            .Where(v => v.Length > 0 && model.Graph.Constant(v) is null && !fourBit.ContainsKey(v));
        using OnnxRuntimeSession session = new(model, computed, new SessionSettings { IntraOpThreads = 1, Optimize = false });
        ValueTypes result = new() { Inputs = session.Inputs };
        foreach (ValueType type in session.Inputs.Types.Concat(session.Outputs))
            result.types[type.Name] = type;
        foreach ((string name, DataType type) in fourBit)
            result.types[name] = new ValueType(name, type, [], []);
        return result;
    }

    /// <summary>The types of inputs, outputs and the values that the file describes.</summary>
    private static ValueTypes Declared(OnnxModel model)
    {
        ValueTypes result = new() { Inputs = new ModelInputs(model.Path ?? model.Name, [.. model.Graph.Inputs.Select(TypeOf)]) };
        foreach (ValueInfoProto value in model.Proto.Graph.ValueInfo.Concat(model.Proto.Graph.Input).Concat(model.Proto.Graph.Output))
            result.types[value.Name] = TypeOf(value);
        return result;
    }

    private static ValueType TypeOf(ValueInfoProto value)
    {
        TypeProto.Types.Tensor? tensor = value.Type?.TensorType;
        TensorShapeProto.Types.Dimension[] dims = [.. tensor?.Shape?.Dim ?? []];
        return new ValueType(value.Name, (DataType)(tensor?.ElemType ?? 0),
            [.. dims.Select(d => d.HasDimValue ? checked((int)d.DimValue) : -1)], [.. dims.Select(d => d.DimParam)]);
    }

    /// <summary>The type that a QuantizeLinear node gives when it is one of 4 bits; null otherwise.</summary>
    private static DataType? FourBitType(OnnxModel model, NodeProto node)
    {
        if (!node.Is("QuantizeLinear"))
            return null;
        DataType type = model.Graph.ConstantInput(node, 2)?.Type() ?? (DataType)node.GetInt("output_dtype", 0);
        return type is DataType.Int4 or DataType.Uint4 ? type : null;
    }
}
