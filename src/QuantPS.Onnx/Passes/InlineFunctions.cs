using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Passes;

/// <summary>Puts the nodes of the model's own functions where these are called, if some of them have an int8 form: inside they would neither be calibrated nor
/// be quantized. Other functions stay calls, which a runtime may know by name.</summary>
/// <remarks>Source: onnx docs/IR.md, "Functions": the body's values are its own; inputs left out are empty names; an attribute that refers to one of the
/// function takes the caller's value, or its default, and is left out where there is neither. Stays a call: a function that needs another version of an operator
/// set than the model has or can be lifted to.</remarks>
public sealed class InlineFunctions : GraphPass
{
    public override string Name => "InlineFunctions";

    public override bool TellsTypes => true;

    public override int Apply(PassContext context)
    {
        ModelProto model = context.Model.Proto;
        if (model.Functions.Count == 0)
            return 0;
        HashSet<string> taken = NamesOf(model);
        int calls = 0;
        // Functions call functions.
        for (int before = -1; calls != before;)
        {
            before = calls;
            foreach (GraphProto graph in TensorWalk.GraphsOf(model.Graph).ToArray())
            {
                foreach (NodeProto call in graph.Node.ToArray())
                {
                    if (FunctionOf(model, call) is not FunctionProto function || !HasLayers(model, function) || !Import(context, function))
                        continue;
                    NodeProto[] body = BodyOf(function, call, taken);
                    int at = graph.Node.IndexOf(call);
                    graph.Node.RemoveAt(at);
                    for (int i = 0; i < body.Length; i++)
                        graph.Node.Insert(at + i, body[i]);
                    calls++;
                }
            }
        }
        if (calls > 0)
            Forget(model);
        context.Model.Invalidate();
        return calls;
    }

    private static FunctionProto? FunctionOf(ModelProto model, NodeProto call) => model.Functions.FirstOrDefault(f => f.Name == call.OpType
        && f.Overload == call.Overload && OnnxModel.NormalizeDomain(f.Domain) == OnnxModel.NormalizeDomain(call.Domain));

    /// <summary>Whether a body, or one that it calls, has a node that could run in int8; false for one that leads to itself, which ends nowhere.</summary>
    private static bool HasLayers(ModelProto model, FunctionProto function)
    {
        HashSet<FunctionProto> open = new(ReferenceEqualityComparer.Instance), done = new(ReferenceEqualityComparer.Instance);
        bool found = false;
        return Ends(function) && found;

        bool Ends(FunctionProto f)
        {
            if (done.Contains(f))
                return true;
            if (!open.Add(f))
                return false;
            found |= f.Node.Any(n => FunctionOf(model, n) is null && OperatorRegistry.Find(n).Any());
            bool ends = f.Node.Select(n => FunctionOf(model, n)).OfType<FunctionProto>().All(Ends);
            open.Remove(f);
            done.Add(f);
            return ends;
        }
    }

    /// <summary>Makes sure that the model means the same by the body's operators as the function does.</summary>
    private static bool Import(PassContext context, FunctionProto function)
    {
        OnnxModel model = context.Model;
        if (function.OpsetImport.FirstOrDefault(o => OnnxModel.NormalizeDomain(o.Domain).Length == 0) is { } standard
            && !(standard.Version > model.Opset ? context.Allows((int)standard.Version) : MeansTheSame(function, (int)standard.Version, model.Opset)))
            return false;
        OperatorSetIdProto[] others = [.. function.OpsetImport.Where(o => OnnxModel.NormalizeDomain(o.Domain).Length > 0)];
        if (others.Any(o => model.OpsetOf(o.Domain) is > 0 and int version && version != o.Version))
            return false;
        model.Proto.OpsetImport.AddRange(others.Where(o => model.OpsetOf(o.Domain) == 0).Select(o => o.Clone()));
        return true;
    }

    /// <summary>Whether a body that was written for an older version of the standard operators says the same in a newer one: lifting it changes nothing.</summary>
    private static bool MeansTheSame(FunctionProto function, int from, int to)
    {
        if (from == to)
            return true;
        ModelProto proto = new() { IrVersion = OnnxModel.FirstIrWithFreeInitializers, Graph = new GraphProto { Name = function.Name } };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = from });
        proto.Graph.Node.AddRange(function.Node.Select(n => n.Clone()));
        proto.Graph.Input.AddRange(function.Input.Select(i => new ValueInfoProto { Name = i }));
        proto.Graph.Output.AddRange(function.Output.Select(o => new ValueInfoProto { Name = o }));
        try
        {
            OnnxModel body = OnnxModel.FromProto(proto, function.Name);
            // Where the types of its values matter, there are none before it is called.
            return OpsetRaiser.TryRaise(body, to, new Lazy<ValueTypes>(() => ValueTypes.Infer(body))) && proto.Graph.Node.SequenceEqual(function.Node);
        }
        catch (QuantException)
        {
            return false;
        }
    }

    /// <summary>The nodes of a call, with names of their own.</summary>
    private static NodeProto[] BodyOf(FunctionProto function, NodeProto call, HashSet<string> taken)
    {
        string prefix = call.Name.Length > 0 ? call.Name : call.Output.First(o => o.Length > 0);
        Dictionary<string, string> names = new(StringComparer.Ordinal) { [""] = "" };
        for (int i = 0; i < function.Input.Count; i++)
            names[function.Input[i]] = GraphIndex.Input(call, i);
        List<NodeProto> copies = [];
        for (int i = 0; i < function.Output.Count; i++)
        {
            if (i >= call.Output.Count || call.Output[i].Length == 0)
                continue;
            // An input, or a value that is an output twice, has its name already.
            if (!names.TryAdd(function.Output[i], call.Output[i]))
                copies.Add(Nodes.Create("Identity", $"{prefix}/{function.Output[i]}", [names[function.Output[i]]], [call.Output[i]]));
        }
        return [.. function.Node.Select(Copy), .. copies];

        NodeProto Copy(NodeProto node)
        {
            NodeProto copy = node.Clone();
            copy.Name = $"{prefix}/{(node.Name.Length > 0 ? node.Name : node.Output.FirstOrDefault(o => o.Length > 0) ?? node.OpType)}";
            for (int i = 0; i < copy.Input.Count; i++)
                copy.Input[i] = Named(copy.Input[i]);
            for (int i = 0; i < copy.Output.Count; i++)
                copy.Output[i] = Named(copy.Output[i]);
            for (int i = copy.Attribute.Count - 1; i >= 0; i--)
            {
                if (copy.Attribute[i].RefAttrName is not { Length: > 0 } refers)
                    continue;
                string name = copy.Attribute[i].Name;
                AttributeProto? value = (call.Attribute.FirstOrDefault(a => a.Name == refers) ?? function.AttributeProto.FirstOrDefault(a => a.Name == refers))?.Clone();
                copy.Attribute.RemoveAt(i);
                if (value is null)
                    continue;
                value.Name = name;
                copy.Attribute.Insert(i, value);
            }
            foreach (GraphProto graph in TensorWalk.BodiesOf(copy))
                Rename(graph);
            return copy;
        }

        void Rename(GraphProto graph)
        {
            foreach (ValueInfoProto value in graph.Input.Concat(graph.Output).Concat(graph.ValueInfo))
                value.Name = Named(value.Name);
            foreach (TensorProto tensor in graph.Initializer)
                tensor.Name = Named(tensor.Name);
            for (int i = 0; i < graph.Node.Count; i++)
                graph.Node[i] = Copy(graph.Node[i]);
        }

        string Named(string value)
        {
            if (!names.TryGetValue(value, out string? name))
            {
                name = $"{prefix}/{value}";
                for (int i = 1; !taken.Add(name); i++)
                    name = $"{prefix}/{value}_{i}";
                names[value] = name;
            }
            return name;
        }
    }

    private static HashSet<string> NamesOf(ModelProto model) => [.. TensorWalk.GraphsOf(model.Graph).SelectMany(g => g.Node.SelectMany(n => n.Input.Concat(n.Output))
        .Concat(g.Input.Concat(g.Output).Select(v => v.Name)).Concat(g.Initializer.Select(t => t.Name)))];

    /// <summary>Functions that nothing calls any more, and operator sets that were theirs alone.</summary>
    private static void Forget(ModelProto model)
    {
        NodeProto[] nodes = [.. TensorWalk.GraphsOf(model.Graph).SelectMany(g => g.Node)];
        if (nodes.Any(n => FunctionOf(model, n) is not null))
            return;
        HashSet<string> own = [.. model.Functions.Select(f => f.Domain)], used = [.. nodes.Select(n => OnnxModel.NormalizeDomain(n.Domain)), ""];
        model.Functions.Clear();
        foreach (OperatorSetIdProto import in model.OpsetImport.Where(o => own.Contains(o.Domain) && !used.Contains(OnnxModel.NormalizeDomain(o.Domain))).ToArray())
            model.OpsetImport.Remove(import);
    }
}
