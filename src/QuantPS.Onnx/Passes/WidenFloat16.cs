using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>Computes in float32 what a model computes in float16: constants, casts and types are widened. The graph's inputs and outputs keep their type, by
/// a Cast behind and before.</summary>
/// <remarks>Every float16 number is a float32 number, so only roundings between operators are lost. Operators that stay float run faster by it too: on the CPU
/// ONNX Runtime casts to float32 and back around them.</remarks>
public sealed class WidenFloat16 : GraphPass
{
    /// <summary>Attributes of standard operators that name the type of a result.</summary>
    private static readonly HashSet<string> TypeAttributes = ["to", "dtype", "output_dtype", "output_datatype"];

    public override string Name => "WidenFloat16";

    public override bool TellsTypes => true;

    public override int Apply(PassContext context)
    {
        ModelProto model = context.Model.Proto;
        GraphProto graph = model.Graph;
        GraphIndex index = context.Graph;
        GraphProto[] graphs = [.. TensorWalk.GraphsOf(graph)];
        string[] inputs = [.. index.Inputs.Where(IsHalf).Select(i => i.Name)];
        string[] outputs = [.. graph.Output.Where(IsHalf).Select(o => o.Name).Except(inputs)];
        // Casts at the borders are as they should be, those of an earlier round too.
        HashSet<NodeProto> borders = new(outputs.Select(index.Producer).OfType<NodeProto>().Where(n => n.Is("Cast")), ReferenceEqualityComparer.Instance);
        int widened = 0;
        foreach (string input in inputs.Where(i => index.Consumers(i).Any(c => !c.Is("Cast"))))
        {
            string wide = Rename(context, graphs, input);
            graph.Node.Insert(0, Cast(input, wide, DataType.Float));
            widened++;
        }
        foreach (string output in outputs.Where(o => index.Producer(o) is not NodeProto n || !borders.Contains(n)))
        {
            NodeProto cast = Cast(Rename(context, graphs, output), output, DataType.Float16);
            graph.Node.Add(cast);
            borders.Add(cast);
            widened++;
        }
        foreach (TensorProto tensor in TensorWalk.TensorsOf(model).Where(t => t.Type() == DataType.Float16))
        {
            TensorProto wide = TensorProtos.Create(tensor.Name, tensor.ToFloats(), tensor.Shape());
            tensor.Int32Data.Clear();
            tensor.DataType = wide.DataType;
            tensor.RawData = wide.RawData;
            widened++;
        }
        foreach (ValueInfoProto value in graphs.SelectMany(g => g.Input.Concat(g.Output).Concat(g.ValueInfo)).Where(IsHalf))
        {
            if (inputs.Contains(value.Name) || outputs.Contains(value.Name))
                continue;
            value.Type.TensorType.ElemType = (int)DataType.Float;
            widened++;
        }
        foreach (AttributeProto attribute in graphs.SelectMany(g => g.Node).Concat(model.Functions.SelectMany(f => f.Node))
            .Where(n => OnnxModel.NormalizeDomain(n.Domain).Length == 0 && !borders.Contains(n)).SelectMany(n => n.Attribute)
            .Where(a => a.I == (long)DataType.Float16 && TypeAttributes.Contains(a.Name)))
        {
            attribute.I = (long)DataType.Float;
            widened++;
        }
        context.Model.Invalidate();
        return widened;
    }

    private static bool IsHalf(ValueInfoProto value) => value.Type?.TensorType is { } type && type.ElemType == (int)DataType.Float16;

    private static NodeProto Cast(string from, string to, DataType type) => Nodes.Create("Cast", to + "_Cast", [from], [to], Nodes.Attribute("to", (long)type));

    /// <summary>Gives a value of the outer graph another name, where it is made and wherever it is taken, in bodies too.</summary>
    private static string Rename(PassContext context, GraphProto[] graphs, string name)
    {
        string wide = context.FreeName(name + "_float32");
        foreach (NodeProto node in graphs.SelectMany(g => g.Node))
        {
            Replace(node.Input);
            Replace(node.Output);
        }
        foreach (ValueInfoProto value in graphs[0].ValueInfo.Concat(graphs.Skip(1).SelectMany(g => g.Output)).Where(v => v.Name == name))
            value.Name = wide;
        foreach (TensorProto constant in graphs[0].Initializer.Where(t => t.Name == name))
            constant.Name = wide;
        return wide;

        void Replace(Google.Protobuf.Collections.RepeatedField<string> names)
        {
            for (int i = 0; i < names.Count; i++)
                names[i] = names[i] == name ? wide : names[i];
        }
    }
}
