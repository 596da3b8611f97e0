using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Execution;

/// <summary>ONNX Runtime computes convolutions on blocks of channels (NCHWc) and, for whoever asks for a value, puts it back in order, at the
/// cost of one more pass through memory. Whoever does not mind the order can have the blocks themselves.</summary>
/// <remarks>The graph is optimized once with all wanted values as outputs, then the reordering nodes (ReorderOutput of com.microsoft.nchwc) at its
/// ends are taken off. The arithmetic is the same, and so is every element. Source: onnxruntime/core/optimizer/nchwc_transformer.cc.</remarks>
internal sealed class BlockedOutputs
{
    private const string Domain = "com.microsoft.nchwc";

    /// <summary>Blocks have 8 or 16 channels; where the channels do not fill them, there are zeros behind them.</summary>
    private const int LargestBlock = 16;

    private BlockedOutputs(OnnxModel model, IReadOnlyDictionary<string, string> names)
    {
        Model = model;
        Names = names;
    }

    /// <summary>The optimized graph; to be run as it is.</summary>
    public OnnxModel Model { get; }

    /// <summary>The output to ask for, by the value's name in the original graph.</summary>
    public IReadOnlyDictionary<string, string> Names { get; }

    /// <summary>Null when there is nothing to gain, or the model is too large to be written down for this.</summary>
    /// <param name="model">The float model.</param>
    /// <param name="free">The values whose elements may come in any order.</param>
    /// <param name="wanted">All values to give, those among them.</param>
    /// <param name="settings">How it is to be run.</param>
    public static BlockedOutputs? Find(OnnxModel model, IReadOnlyCollection<string> free, IReadOnlyCollection<string> wanted, SessionSettings settings)
    {
        if (!settings.Optimize || settings.OptimizedModelPath is not null || model.SizeBytes > settings.MostSerialized
            || free.Count == 0 || !model.Proto.Graph.Node.Any(n => n.Is("Conv")))
            return null;
        string file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (new OnnxRuntimeSession(model, wanted, settings with { OptimizedModelPath = file }))
                return Rewrite(model, OnnxModel.Parse(File.ReadAllBytes(file), model.Name, model.Path), free, wanted);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or QuantException)
        {
            // No place for the file, or a graph that does not stand on its own: the values in order will do.
            return null;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static BlockedOutputs? Rewrite(OnnxModel model, OnnxModel optimized, IReadOnlyCollection<string> free, IReadOnlyCollection<string> wanted)
    {
        GraphProto graph = optimized.Proto.Graph;
        HashSet<string> any = [.. free];
        HashSet<string> consumed = [.. graph.Node.SelectMany(n => n.Input)];
        Dictionary<string, NodeProto> reorders = graph.Node.Where(n => n is { OpType: "ReorderOutput", Domain: Domain }).ToDictionary(n => n.Output[0], StringComparer.Ordinal);
        Dictionary<string, string> names = new(StringComparer.Ordinal);
        foreach (string value in wanted)
        {
            names[value] = value;
            if (!any.Contains(value) || !reorders.TryGetValue(value, out NodeProto? reorder) || reorder.GetInt("channels", 1) % LargestBlock != 0)
                continue;
            names[value] = reorder.Input[0];
            graph.Output.Remove(graph.Output.First(o => o.Name == value));
            if (!graph.Output.Any(o => o.Name == reorder.Input[0]))
                graph.Output.Add(new ValueInfoProto { Name = reorder.Input[0] });
            if (!consumed.Contains(value))
                graph.Node.Remove(reorder);
        }
        optimized.Invalidate();
        bool sameInputs = optimized.Graph.Inputs.Select(i => i.Name).SequenceEqual(model.Graph.Inputs.Select(i => i.Name));
        return !sameInputs || names.All(n => n.Key == n.Value) ? null : new BlockedOutputs(optimized, names);
    }
}
