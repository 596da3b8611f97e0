using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution.Native;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Execution;

/// <summary>A model with nodes that show values to a watcher.</summary>
/// <remarks>Where the model can be written down, ONNX Runtime optimizes it once with all wanted values as outputs, and the nodes are added to what it made of
/// it. ONNX Runtime computes convolutions on blocks of channels (NCHWc) and, for whoever asks for a value, puts it back in order, at the cost of one
/// more pass through memory: whoever does not mind the order gets the blocks, and the reordering nodes (ReorderOutput of com.microsoft.nchwc) go. The
/// arithmetic is the same, and so is every element. Source: onnxruntime/core/optimizer/nchwc_transformer.cc.
/// <para>A node costs about a microsecond, and threads that share the work of a small value cost more than they save: small values that follow each other are
/// shown by one node, where threads take one value each.</para></remarks>
internal static class ObservedGraph
{
    /// <summary>Elements of one sample of the values that one node shows: they stay in the second cache, and keep their memory until they are shown.</summary>
    private const long MostTogether = 65536;

    /// <param name="model">The float model.</param>
    /// <param name="wanted">The values to show, in the order of their indices.</param>
    /// <param name="anyOrder">Whether a value's channels may come in blocks.</param>
    /// <param name="sizeOf">About how many elements a value has, for one sample.</param>
    /// <param name="settings">How it is to be run.</param>
    /// <returns>The model to run, and how; and for each value the channels of a block of it, 1 for one in order.</returns>
    public static (OnnxModel Model, SessionSettings Settings, int[] Blocks) Create(OnnxModel model, IReadOnlyList<string> wanted, Func<string, bool> anyOrder,
        Func<string, long> sizeOf, SessionSettings settings)
    {
        OnnxModel? optimized = Optimize(model, wanted, settings);
        OnnxModel observed = optimized ?? model.Clone();
        GraphProto graph = observed.Proto.Graph;
        string[] sources = [.. wanted];
        int[] blocks = [.. wanted.Select(_ => 1)];
        if (optimized is not null)
        {
            HashSet<string> consumed = [.. graph.Node.SelectMany(n => n.Input)];
            Dictionary<string, NodeProto> reorders = graph.Node.Where(n => n is { OpType: "ReorderOutput", Domain: ChannelBlocks.Domain }).ToDictionary(n => n.Output[0], StringComparer.Ordinal);
            for (int i = 0; i < sources.Length; i++)
            {
                string value = wanted[i];
                bool own = model.Graph.IsOutput(value) || model.Graph.Producer(value) is null;
                if (!own)
                    graph.Output.Remove(graph.Output.First(o => o.Name == value));
                // Where the channels do not fill the blocks, there are zeros behind them.
                if (!anyOrder(value) || !reorders.TryGetValue(value, out NodeProto? reorder) || ChannelBlocks.Size == 0 || reorder.GetInt("channels", 1) % ChannelBlocks.Size != 0)
                    continue;
                sources[i] = reorder.Input[0];
                blocks[i] = ChannelBlocks.Size;
                if (!own && !consumed.Contains(value))
                    graph.Node.Remove(reorder);
            }
        }
        // The last leaf of a graph comes first in ONNX Runtime's order, behind what it needs.
        foreach (Range together in Groups([.. wanted.Select(sizeOf)]).Reverse())
            graph.Node.Add(ObserveOperator.CreateNode(together.Start.Value, sources[together]));
        ObserveOperator.Declare(observed.Proto);
        observed.Invalidate();
        return (observed, optimized is null ? settings : settings with { Optimize = false }, blocks);
    }

    /// <summary>Which values one node shows.</summary>
    private static IEnumerable<Range> Groups(long[] sizes)
    {
        int start = 0;
        long sum = 0;
        for (int i = 0; i < sizes.Length; i++)
        {
            if (i > start && sum + sizes[i] > MostTogether)
            {
                yield return start..i;
                (start, sum) = (i, 0);
            }
            sum += sizes[i];
        }
        if (start < sizes.Length)
            yield return start..sizes.Length;
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
