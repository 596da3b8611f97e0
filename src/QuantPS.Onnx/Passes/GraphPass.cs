using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>A rewrite of the float graph before calibration. One file each, one line in <see cref="PassRegistry"/>.</summary>
public abstract class GraphPass
{
    public abstract string Name { get; }

    /// <summary>Rewrites the model in place.</summary>
    /// <returns>How many places were rewritten.</returns>
    public abstract int Apply(OnnxModel model);

    /// <summary>Takes an initializer out of the graph when nothing uses it any more.</summary>
    protected static void RemoveUnusedInitializers(OnnxModel model, IEnumerable<string> candidates)
    {
        model.Invalidate();
        GraphProto graph = model.Proto.Graph;
        HashSet<string> unused = [.. candidates.Where(c => model.Graph.Consumers(c).Count == 0 && !model.Graph.IsOutput(c))];
        for (int i = graph.Initializer.Count - 1; i >= 0; i--)
        {
            if (unused.Contains(graph.Initializer[i].Name))
                graph.Initializer.RemoveAt(i);
        }
        // IR version 3 and earlier list initializers among the inputs.
        for (int i = graph.Input.Count - 1; i >= 0; i--)
        {
            if (unused.Contains(graph.Input[i].Name) && graph.Input.Count > 1)
                graph.Input.RemoveAt(i);
        }
        model.Invalidate();
    }

    /// <summary>A name that no value of the graph has yet.</summary>
    protected static string FreeName(OnnxModel model, string wanted)
    {
        HashSet<string> taken = [.. model.Proto.Graph.Initializer.Select(t => t.Name), .. model.Proto.Graph.Input.Select(v => v.Name),
            .. model.Proto.Graph.Node.SelectMany(n => n.Output)];
        string name = wanted;
        for (int i = 1; taken.Contains(name); i++)
            name = $"{wanted}_{i}";
        return name;
    }
}
