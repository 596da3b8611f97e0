using Google.Protobuf;
using QuantPS.Onnx.Model.Proto;
using AttributeType = QuantPS.Onnx.Model.Proto.AttributeProto.Types.AttributeType;

namespace QuantPS.Onnx.Model;

/// <summary>Attributes of nodes, read with the operator's default, and makers of nodes and values.</summary>
public static class Nodes
{
    public static long GetInt(this NodeProto node, string name, long fallback) => Find(node, name)?.I ?? fallback;

    public static float GetFloat(this NodeProto node, string name, float fallback) => Find(node, name)?.F ?? fallback;

    public static string GetString(this NodeProto node, string name, string fallback) => Find(node, name)?.S.ToStringUtf8() ?? fallback;

    /// <summary>A list of integers; null when the node does not have it.</summary>
    public static int[]? GetInts(this NodeProto node, string name) =>
        Find(node, name) is AttributeProto a ? [.. a.Ints.Select(v => checked((int)v))] : null;

    /// <summary>True for an operator of ONNX itself (not of an extension) with this name.</summary>
    public static bool Is(this NodeProto node, string opType) => node.OpType == opType && OnnxModel.NormalizeDomain(node.Domain).Length == 0;

    public static NodeProto Create(string opType, string name, IEnumerable<string> inputs, IEnumerable<string> outputs,
        params AttributeProto[] attributes)
    {
        NodeProto node = new() { OpType = opType, Name = name };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        return node;
    }

    public static AttributeProto Attribute(string name, long value) => new() { Name = name, Type = AttributeType.Int, I = value };

    public static AttributeProto Attribute(string name, float value) => new() { Name = name, Type = AttributeType.Float, F = value };

    public static AttributeProto Attribute(string name, string value) =>
        new() { Name = name, Type = AttributeType.String, S = ByteString.CopyFromUtf8(value) };

    public static AttributeProto Attribute(string name, IEnumerable<int> values)
    {
        AttributeProto a = new() { Name = name, Type = AttributeType.Ints };
        a.Ints.AddRange(values.Select(v => (long)v));
        return a;
    }

    /// <summary>A tensor value. A dimension is a number, a name (any size), or null (unknown).</summary>
    public static ValueInfoProto Value(string name, TensorProto.Types.DataType type, params object?[] dims)
    {
        TensorShapeProto shape = new();
        foreach (object? d in dims)
        {
            shape.Dim.Add(d switch
            {
                int n => new TensorShapeProto.Types.Dimension { DimValue = n },
                string s => new TensorShapeProto.Types.Dimension { DimParam = s },
                _ => new TensorShapeProto.Types.Dimension(),
            });
        }
        return new() { Name = name, Type = new() { TensorType = new() { ElemType = (int)type, Shape = shape } } };
    }

    private static AttributeProto? Find(NodeProto node, string name) => node.Attribute.FirstOrDefault(a => a.Name == name);
}
