using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>A node with what is known of its values before it runs.</summary>
internal sealed class IntegerNode(OnnxModel model, ValueTypes types, NodeProto node)
{
    public NodeProto Proto => node;

    public int Opset => model.Opset;

    /// <summary>For messages: "QLinearConv 'conv1'".</summary>
    public string Label => $"{node.OpType} '{GraphIndex.DisplayName(node)}'";

    public bool Has(int input) => GraphIndex.Input(node, input).Length > 0;

    /// <summary>Element type of an input; Undefined when it is left out or not known.</summary>
    public DataType TypeOf(int input) => TypeOf(GraphIndex.Input(node, input));

    /// <summary>Element type of an output; Undefined when it is left out or not known.</summary>
    public DataType OutputType(int output) => output < node.Output.Count ? TypeOf(node.Output[output]) : DataType.Undefined;

    /// <summary>Number of dimensions of an input; null when it is not known. ONNX Runtime does not tell an unknown rank from a scalar.</summary>
    public int? RankOf(int input)
    {
        string name = GraphIndex.Input(node, input);
        return model.Graph.Constant(name)?.Dims.Count ?? (types[name] is { Rank: > 0 } type ? type.Rank : null);
    }

    public QuantException Wrong(string what, GraphValue value) => new(ErrorIds.ShapeMismatch, $"{Label}: {what}.", value);

    private DataType TypeOf(string value) => model.Graph.Constant(value)?.Type() ?? types[value]?.ElementType ?? DataType.Undefined;
}
