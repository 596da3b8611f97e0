using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Passes;

namespace QuantPS.Onnx.Quantization;

/// <summary>The channels of a network's values, in classes that have to be scaled together: a sum's operands channel by channel, what a ReLU takes and gives, the
/// parts of a concatenation. A class begins and ends in the weights of convolutions, where a factor can be put; one that reaches anything else
/// is fixed.</summary>
/// <remarks>Cross-layer equalization (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", 4.1) pairs a layer with the one
/// behind its ReLU; classes of channels carry it over sums, concatenations and pools.</remarks>
internal sealed class ChannelClasses
{
    private readonly Dictionary<string, (int First, int Count)> places = new(StringComparer.Ordinal);
    private readonly List<int> parents = [];
    private readonly List<Ends> ends = [];
    private readonly ValueTypes types;

    /// <param name="graph">The float graph.</param>
    /// <param name="types">Types of its values; a channel is dimension 1 of a float tensor.</param>
    /// <param name="isBarrier">Nodes through which no factor is to pass, and layers whose weights are not to be changed.</param>
    /// <param name="isFixed">Values that are to stay as they are.</param>
    public ChannelClasses(GraphIndex graph, ValueTypes types, Func<NodeProto, bool> isBarrier, Func<string, bool> isFixed)
    {
        this.types = types;
        foreach (NodeProto node in graph.Nodes.Where(n => n.Output.Count == 0 || graph.Constant(n.Output[0]) is null))
        {
            bool barrier = isBarrier(node);
            if (!barrier && IsLayer(graph, node))
            {
                bool depthwise = IsDepthwise(graph, node);
                Mark(node.Input[0], depthwise ? Ends.Depthwise : Ends.Dense);
                Mark(node.Output[0], depthwise ? Ends.Depthwise : Ends.None);
                continue;
            }
            if (barrier || !ChannelTies.Apply(new NodeContext(graph, node, types), this))
            {
                foreach (string value in GraphIndex.InputsOf(node).Concat(node.Output))
                    Mark(value, Ends.Fixed);
            }
        }
        foreach (string value in places.Keys.Where(v => graph.IsOutput(v) || isFixed(v) || (graph.Producer(v) is null)).ToArray())
            Mark(value, Ends.Fixed);
    }

    /// <summary>Where a class ends.</summary>
    [Flags]
    private enum Ends
    {
        None = 0,

        /// <summary>A layer that sums over channels takes it.</summary>
        Dense = 1,

        /// <summary>A depthwise convolution makes or takes it.</summary>
        Depthwise = 2,

        /// <summary>Something that factors do not pass.</summary>
        Fixed = 4,
    }

    /// <summary>The Clip nodes that factors pass: the value behind and the limits.</summary>
    public List<(string Value, ActivationRange Range)> Limits { get; } = [];

    /// <summary>A convolution of which every channel is one of its own.</summary>
    public static bool IsDepthwise(GraphIndex graph, NodeProto node) =>
        node.Is("Conv") && graph.ConstantInput(node, 1)?.Shape() is [int outputs, 1, ..] && outputs > 1 && node.GetInt("group", 1) == outputs;

    /// <summary>Channels of a value; 0 when they are not known.</summary>
    public int CountOf(string value) => Place(value).Count;

    /// <summary>Whether two values have the same channels.</summary>
    public bool CanTie(string a, string b) => CountOf(a) > 0 && CountOf(a) == CountOf(b) && types[a]?.Rank >= 2;

    /// <summary>Ties two values channel by channel; false, and nothing is done, where they do not have the same channels.</summary>
    public bool Tie(string a, string b) => CanTie(a, b) && Tie(a, 0, b, 0, CountOf(a));

    /// <summary>Ties channels of two values.</summary>
    /// <param name="a">A value.</param>
    /// <param name="firstA">Its first channel.</param>
    /// <param name="b">Another value.</param>
    /// <param name="firstB">Its first channel.</param>
    /// <param name="count">How many.</param>
    public bool Tie(string a, int firstA, string b, int firstB, int count)
    {
        if (count == 0 || firstA + count > CountOf(a) || firstB + count > CountOf(b))
            return false;
        for (int i = 0; i < count; i++)
        {
            int from = Find(Place(a).First + firstA + i), to = Find(Place(b).First + firstB + i);
            if (from == to)
                continue;
            parents[from] = to;
            ends[to] |= ends[from];
        }
        return true;
    }

    /// <summary>The class of a channel: the same number for all channels that are scaled together.</summary>
    public int ClassOf(string value, int channel) => Find(Place(value).First + channel);

    public bool IsFixed(string value, int channel) => ends[ClassOf(value, channel)].HasFlag(Ends.Fixed);

    /// <summary>Whether a layer that sums over channels takes the class: its weights get the factors' spread.</summary>
    public bool MeetsDense(string value, int channel) => ends[ClassOf(value, channel)].HasFlag(Ends.Dense);

    /// <summary>Whether a depthwise convolution is at an end of the class.</summary>
    public bool MeetsDepthwise(string value, int channel) => ends[ClassOf(value, channel)].HasFlag(Ends.Depthwise);

    /// <summary>A layer whose weights can take factors on both sides.</summary>
    public static bool IsLayer(GraphIndex graph, NodeProto node) => LayerWeights.Suits(graph, node) && (node.OpType is "Conv" or "Gemm");

    private (int First, int Count) Place(string value)
    {
        if (!places.TryGetValue(value, out (int First, int Count) place))
        {
            int count = types[value] is { Rank: > 1 } type ? Math.Max(type.Dims[1], 0) : 0;
            places[value] = place = (parents.Count, count);
            for (int i = 0; i < count; i++)
            {
                parents.Add(parents.Count);
                ends.Add(Ends.None);
            }
        }
        return place;
    }

    private void Mark(string value, Ends end)
    {
        (int first, int count) = Place(value);
        for (int i = first; i < first + count; i++)
            ends[Find(i)] |= end;
    }

    private int Find(int i)
    {
        while (parents[i] != i)
            i = parents[i] = parents[parents[i]];
        return i;
    }
}
