using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Model;

/// <summary>Who produces and consumes each value of a graph, and which values are constants. A snapshot: rewriting the graph does not
/// change it.</summary>
/// <remarks>Constants are initializers, the outputs of Constant nodes, and of Identity nodes over these.</remarks>
public sealed class GraphIndex
{
    private readonly Dictionary<string, NodeProto> producers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<NodeProto>> consumers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorProto> constants = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SparseTensorProto> sparse = new(StringComparer.Ordinal);
    private readonly HashSet<string> outputs;

    /// <param name="model">The model whose main graph is indexed.</param>
    /// <param name="where">The file or name, for messages.</param>
    /// <exception cref="QuantException">InvalidModel: undefined or doubly defined values, a cycle.</exception>
    public GraphIndex(ModelProto model, string where)
    {
        GraphProto graph = model.Graph;
        Where = where;
        Opset = (int)(model.OpsetImport.FirstOrDefault(o => OnnxModel.NormalizeDomain(o.Domain) == OnnxModel.StandardDomain)?.Version ?? 0);
        HashSet<string> defined = new(StringComparer.Ordinal);
        foreach (TensorProto t in graph.Initializer)
        {
            constants[t.Name] = t;
            defined.Add(t.Name);
        }
        foreach (SparseTensorProto s in graph.SparseInitializer)
        {
            sparse[s.Values?.Name ?? ""] = s;
            defined.Add(s.Values?.Name ?? "");
        }
        foreach (ValueInfoProto input in graph.Input)
            defined.Add(input.Name);
        // Since IR version 4 an initializer may also be listed as an input, whose default it then is.
        Inputs = [.. graph.Input.Where(i => !constants.ContainsKey(i.Name))];
        Outputs = [.. graph.Output];
        outputs = [.. graph.Output.Select(o => o.Name)];

        foreach (NodeProto node in graph.Node)
        {
            foreach (string output in node.Output.Where(o => o.Length > 0))
            {
                if (!defined.Add(output))
                    throw Invalid($"{DisplayName(node)} ({node.OpType}) produces the value '{output}', which exists already", node);
                producers[output] = node;
            }
        }
        foreach (NodeProto node in graph.Node)
        {
            foreach (string input in InputsOf(node).Distinct())
            {
                if (!defined.Contains(input))
                    throw Invalid($"{DisplayName(node)} ({node.OpType}) takes the value '{input}', which nothing in the graph defines", node);
                if (!consumers.TryGetValue(input, out List<NodeProto>? list))
                    consumers[input] = list = [];
                list.Add(node);
            }
        }
        foreach (ValueInfoProto output in graph.Output)
        {
            if (!defined.Contains(output.Name))
                throw Invalid($"the output '{output.Name}' is not defined by any node", null);
        }
        Nodes = Sort(graph);
        foreach (NodeProto node in Nodes)
        {
            if (ConstantOf(node) is TensorProto constant)
                constants[node.Output[0]] = constant;
        }

        QuantException Invalid(string what, NodeProto? node) =>
            new(ErrorIds.InvalidModel, $"'{where}' is not a valid model: {what}. Export it again, or check it with onnx.checker.",
                node is null ? where : DisplayName(node));
    }

    /// <summary>The file or name of the model, for messages.</summary>
    public string Where { get; }

    /// <summary>Version of the standard operator set.</summary>
    public int Opset { get; }

    /// <summary>The nodes in an order in which they can run; the file's own order where that is one.</summary>
    public IReadOnlyList<NodeProto> Nodes { get; }

    /// <summary>The inputs that have to be given: those without a default.</summary>
    public IReadOnlyList<ValueInfoProto> Inputs { get; }

    public IReadOnlyList<ValueInfoProto> Outputs { get; }

    /// <summary>The node that makes a value; null for inputs and initializers.</summary>
    public NodeProto? Producer(string value) => producers.GetValueOrDefault(value);

    /// <summary>The nodes that take a value, also from inside the bodies of If, Loop and Scan.</summary>
    public IReadOnlyList<NodeProto> Consumers(string value) => consumers.TryGetValue(value, out List<NodeProto>? list) ? list : [];

    /// <summary>The tensor behind a constant value, or null.</summary>
    public TensorProto? Constant(string value) => constants.GetValueOrDefault(value);

    /// <summary>The sparse initializer behind a value, or null. Only float nodes can use it.</summary>
    public SparseTensorProto? SparseConstant(string value) => sparse.GetValueOrDefault(value);

    public bool IsOutput(string value) => outputs.Contains(value);

    /// <summary>The one node that takes a value, when there is exactly one and the value is not an output of the graph.</summary>
    public NodeProto? OnlyConsumer(string value) => !IsOutput(value) && Consumers(value) is [NodeProto only] ? only : null;

    /// <summary>Name of an input of a node; "" when it is left out.</summary>
    public static string Input(NodeProto node, int index) => index < node.Input.Count ? node.Input[index] : "";

    /// <summary>The constant behind an input of a node; null when the input is left out or computed.</summary>
    public TensorProto? ConstantInput(NodeProto node, int index) => Constant(Input(node, index));

    /// <summary>How a node is named to the user: its own name, or its first output's when it has none.</summary>
    public static string DisplayName(NodeProto node) =>
        node.Name.Length > 0 ? node.Name : node.Output.FirstOrDefault(o => o.Length > 0) ?? node.OpType;

    /// <summary>Every value that a node needs: its inputs and what its subgraphs take from outside.</summary>
    public static IEnumerable<string> InputsOf(NodeProto node)
    {
        foreach (string input in node.Input)
        {
            if (input.Length > 0)
                yield return input;
        }
        foreach (AttributeProto attribute in node.Attribute)
        {
            foreach (GraphProto body in attribute.G is null ? attribute.Graphs : attribute.Graphs.Prepend(attribute.G))
            {
                foreach (string captured in Captured(body))
                    yield return captured;
            }
        }
    }

    private static IEnumerable<string> Captured(GraphProto body)
    {
        HashSet<string> own = [.. body.Input.Select(i => i.Name), .. body.Initializer.Select(i => i.Name),
            .. body.SparseInitializer.Select(i => i.Values?.Name ?? ""), .. body.Node.SelectMany(n => n.Output)];
        return body.Node.SelectMany(InputsOf).Concat(body.Output.Select(o => o.Name)).Where(v => v.Length > 0 && !own.Contains(v));
    }

    private static TensorProto? MakeConstant(NodeProto node)
    {
        AttributeProto? a = node.Attribute.FirstOrDefault();
        string name = node.Output[0];
        switch (a?.Name)
        {
            case "value":
                TensorProto t = a.T.Clone();
                t.Name = name;
                return t;
            case "value_float":
                return TensorProtos.Create(name, [a.F], []);
            case "value_floats":
                return TensorProtos.Create(name, a.Floats.ToArray(), [a.Floats.Count]);
            case "value_int":
                return TensorProtos.Create(name, [a.I], []);
            case "sparse_value":
                return a.SparseTensor.ToDense(name);
            case "value_ints":
                return TensorProtos.Create(name, a.Ints.ToArray(), [a.Ints.Count]);
            default:
                return null;
        }
    }

    private TensorProto? ConstantOf(NodeProto node) => (node.OpType, OnnxModel.NormalizeDomain(node.Domain)) switch
    {
        ("Constant", "") => MakeConstant(node),
        ("Identity", "") => Constant(Input(node, 0)),
        _ => null,
    };

    /// <summary>Kahn's algorithm, taking the ready node that comes first in the file.</summary>
    private List<NodeProto> Sort(GraphProto graph)
    {
        Dictionary<NodeProto, int> position = new(ReferenceEqualityComparer.Instance), missing = new(ReferenceEqualityComparer.Instance);
        PriorityQueue<NodeProto, int> ready = new();
        foreach (NodeProto node in graph.Node)
        {
            position[node] = position.Count;
            missing[node] = InputsOf(node).Distinct().Count(producers.ContainsKey);
            if (missing[node] == 0)
                ready.Enqueue(node, position[node]);
        }
        List<NodeProto> order = new(graph.Node.Count);
        while (ready.TryDequeue(out NodeProto? node, out _))
        {
            order.Add(node);
            foreach (NodeProto consumer in node.Output.Where(o => o.Length > 0).SelectMany(Consumers))
            {
                if (--missing[consumer] == 0)
                    ready.Enqueue(consumer, position[consumer]);
            }
        }
        if (order.Count < graph.Node.Count)
        {
            NodeProto stuck = graph.Node.First(n => missing[n] > 0);
            throw new QuantException(ErrorIds.InvalidModel,
                $"'{Where}' is not a valid model: {DisplayName(stuck)} ({stuck.OpType}) depends on its own output.", DisplayName(stuck));
        }
        return order;
    }
}
