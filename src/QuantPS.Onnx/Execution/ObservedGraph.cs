using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution.Native;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Execution;

/// <summary>A model with nodes that show values to a watcher.</summary>
/// <remarks>Where the model can be written down, ONNX Runtime optimizes it once with all wanted values as outputs, and the nodes are added to what it made of
/// it. ONNX Runtime computes convolutions on blocks of channels (NCHWc) and, for whoever asks for a value, puts it back in order, at the cost of one
/// more pass through memory: whoever does not mind the order gets the blocks, and the reordering nodes (ReorderOutput of com.microsoft.nchwc) go. The
/// arithmetic is the same, and so is every element. Source: onnxruntime/core/optimizer/nchwc_transformer.cc.</remarks>
internal static class ObservedGraph
{
    private const string BlockedDomain = "com.microsoft.nchwc";

    /// <summary>Blocks have 8 or 16 channels; where the channels do not fill them, there are zeros behind them.</summary>
    private const int LargestBlock = 16;

    /// <param name="model">The float model.</param>
    /// <param name="wanted">The values to show, in the order of their indices.</param>
    /// <param name="anyOrder">Whether a value's elements may come in any order, and in any shape.</param>
    /// <param name="settings">How it is to be run.</param>
    /// <returns>The model to run, and how.</returns>
    public static (OnnxModel Model, SessionSettings Settings) Create(OnnxModel model, IReadOnlyList<string> wanted, Func<string, bool> anyOrder, SessionSettings settings)
    {
        OnnxModel? optimized = Optimize(model, wanted, settings);
        OnnxModel observed = optimized ?? model.Clone();
        GraphProto graph = observed.Proto.Graph;
        string[] sources = [.. wanted];
        if (optimized is not null)
        {
            HashSet<string> consumed = [.. graph.Node.SelectMany(n => n.Input)];
            Dictionary<string, NodeProto> reorders = graph.Node.Where(n => n is { OpType: "ReorderOutput", Domain: BlockedDomain }).ToDictionary(n => n.Output[0], StringComparer.Ordinal);
            for (int i = 0; i < sources.Length; i++)
            {
                string value = wanted[i];
                bool own = model.Graph.IsOutput(value) || model.Graph.Producer(value) is null;
                if (!own)
                    graph.Output.Remove(graph.Output.First(o => o.Name == value));
                if (!anyOrder(value) || !reorders.TryGetValue(value, out NodeProto? reorder) || reorder.GetInt("channels", 1) % LargestBlock != 0)
                    continue;
                sources[i] = reorder.Input[0];
                if (!own && !consumed.Contains(value))
                    graph.Node.Remove(reorder);
            }
        }
        // The last leaf of a graph comes first in ONNX Runtime's order, behind what it needs.
        for (int i = sources.Length - 1; i >= 0; i--)
            graph.Node.Add(ObserveOperator.CreateNode(i, [sources[i]]));
        ObserveOperator.Declare(observed.Proto);
        observed.Invalidate();
        return (observed, optimized is null ? settings : settings with { Optimize = false });
    }

    /// <summary>Null when the model is too large to be written down for this, is not to be optimized, or would have other inputs.</summary>
    private static OnnxModel? Optimize(OnnxModel model, IEnumerable<string> wanted, SessionSettings settings)
    {
        if (!settings.Optimize || model.SizeBytes > settings.MostSerialized)
            return null;
        string file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (new OnnxRuntimeSession(model, wanted.Where(v => model.Graph.Producer(v) is not null), settings with { OptimizedModelPath = file, Observe = null }))
            {
                OnnxModel optimized = OnnxModel.Parse(File.ReadAllBytes(file), model.Name, model.Path);
                return optimized.Graph.Inputs.Select(i => i.Name).SequenceEqual(model.Graph.Inputs.Select(i => i.Name)) ? optimized : null;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or QuantException)
        {
            // No place for the file, or a graph that does not stand on its own: ONNX Runtime shall optimize around the nodes then.
            return null;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
