using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Quantization;

/// <summary>What takes a factor per channel through an operator: which channels of its values have to have the same one. A line an operator; through any other
/// operator no factor passes.</summary>
/// <remarks>These operators are homogeneous of degree 1 in what is tied: f * x gives f * y for positive f, channel by channel.</remarks>
internal static class ChannelTies
{
    /// <summary>Ties the channels of a node's values.</summary>
    /// <param name="node">The node.</param>
    /// <param name="channels">What is known of the graph's channels, to be added to.</param>
    /// <returns>Whether factors pass; without, nothing was tied.</returns>
    private delegate bool Rule(NodeContext node, ChannelClasses channels);

    private static readonly Dictionary<string, Rule> Rules = new(StringComparer.Ordinal)
    {
        ["Relu"] = Same,
        ["LeakyRelu"] = Same,
        ["PRelu"] = Same,
        ["Clip"] = Limited,
        ["Identity"] = Same,
        ["MaxPool"] = Same,
        ["GlobalMaxPool"] = Same,
        ["AveragePool"] = Same,
        ["GlobalAveragePool"] = Same,
        ["ReduceMean"] = Mean,
        ["Resize"] = Same,
        ["Upsample"] = Same,
        ["Pad"] = Padded,
        ["Add"] = Sum,
        ["Sub"] = Sum,
        ["Sum"] = Sum,
        ["Mul"] = Gated,
        ["Concat"] = Joined,
        ["Split"] = Cut,
        ["Flatten"] = OnePixel,
        ["Reshape"] = OnePixel,
        ["Squeeze"] = OnePixel,
    };

    /// <summary>Whether factors may pass through the operator.</summary>
    public static bool Passes(NodeProto node) => OnnxModel.NormalizeDomain(node.Domain) == OnnxModel.StandardDomain && Rules.ContainsKey(node.OpType);

    /// <summary>Ties what the node's operator ties; false where no factor passes through it.</summary>
    public static bool Apply(NodeContext node, ChannelClasses channels) =>
        Passes(node.Node) && Rules[node.Node.OpType](node, channels);

    private static bool Same(NodeContext node, ChannelClasses channels) => channels.Tie(node.Node.Input[0], node.Node.Output[0]);

    /// <summary>The limits stay where they are, so that 0 has to be between them and what is scaled up must not reach them: <see cref="ChannelClasses.Limits"/>.</summary>
    private static bool Limited(NodeContext node, ChannelClasses channels)
    {
        if (new Clip().RangeOf(node.Graph, node.Node) is not { Low: <= 0, High: >= 0 } range || !Same(node, channels))
            return false;
        channels.Limits.Add((node.Node.Output[0], range));
        return true;
    }

    private static bool Mean(NodeContext node, ChannelClasses channels) =>
        (node.ConstantInput(1)?.ToLongs().Select(a => (int)a).ToArray() ?? node.Node.GetInts("axes")) is int[] axes && node.Types[node.Node.Input[0]] is { Rank: > 2 } type
        && axes.All(a => a + (a < 0 ? type.Rank : 0) > 1) && Same(node, channels);

    /// <summary>A margin of zeros stays one.</summary>
    private static bool Padded(NodeContext node, ChannelClasses channels)
    {
        NodeProto pad = node.Node;
        int[]? pads = node.ConstantInput(1)?.ToLongs().Select(p => checked((int)p)).ToArray() ?? pad.GetInts("pads");
        bool constant = pad.GetString("mode", "constant") == "constant";
        float? value = GraphIndex.Input(pad, 2).Length == 0 ? pad.GetFloat("value", 0) : node.ConstantInput(2)?.ToScalar();
        if (pads is null || GraphIndex.Input(pad, 3).Length > 0 || pads.Length < 4 || (constant && value != 0) || (!constant && (pads[1] != 0 || pads[1 + pads.Length / 2] != 0)))
            return false;
        int count = channels.CountOf(pad.Input[0]);
        return pads[1] >= 0 && pads[1 + pads.Length / 2] >= 0 && channels.Tie(pad.Input[0], 0, pad.Output[0], pads[1], count);
    }

    private static bool Sum(NodeContext node, ChannelClasses channels)
    {
        string output = node.Node.Output[0];
        return node.Node.Input.All(i => channels.CanTie(i, output)) && node.Node.Input.All(i => channels.Tie(i, output));
    }

    /// <summary>Squeeze and excitation: what is multiplied passes factors on, the gate has none.</summary>
    private static bool Gated(NodeContext node, ChannelClasses channels)
    {
        string output = node.Node.Output[0];
        foreach ((string signal, string gate) in ((string, string)[])[(node.Node.Input[0], node.Node.Input[1]), (node.Node.Input[1], node.Node.Input[0])])
        {
            if (signal != gate && node.Graph.Producer(gate) is { OpType: "Sigmoid" or "HardSigmoid" } && channels.Tie(signal, output))
                return true;
        }
        return false;
    }

    private static bool Joined(NodeContext node, ChannelClasses channels)
    {
        string output = node.Node.Output[0];
        if (!IsChannelAxis(node, output, none: 1) || node.Node.Input.Sum(channels.CountOf) != channels.CountOf(output) || node.Node.Input.Any(i => channels.CountOf(i) == 0))
            return false;
        int first = 0;
        foreach (string input in node.Node.Input)
        {
            channels.Tie(input, 0, output, first, channels.CountOf(input));
            first += channels.CountOf(input);
        }
        return true;
    }

    private static bool Cut(NodeContext node, ChannelClasses channels)
    {
        string input = node.Node.Input[0];
        if (!IsChannelAxis(node, input, none: 0))
            return false;
        if (node.Node.Output.Sum(channels.CountOf) != channels.CountOf(input) || node.Node.Output.Any(o => channels.CountOf(o) == 0))
            return false;
        int first = 0;
        foreach (string output in node.Node.Output)
        {
            channels.Tie(input, first, output, 0, channels.CountOf(output));
            first += channels.CountOf(output);
        }
        return true;
    }

    /// <summary>An image of one pixel becomes a row of channels.</summary>
    private static bool OnePixel(NodeContext node, ChannelClasses channels) =>
        node.Types[node.Node.Input[0]] is { Rank: > 2 } from && from.Dims.Skip(2).All(d => d == 1) && node.Types[node.Node.Output[0]] is { Rank: 2 } && Same(node, channels);

    /// <summary>Whether the node's axis is the channels'.</summary>
    /// <param name="node">The node.</param>
    /// <param name="value">What has the axis.</param>
    /// <param name="none">The axis of a node that names none.</param>
    private static bool IsChannelAxis(NodeContext node, string value, long none) =>
        node.Types[value] is { Rank: > 1 } type && node.Node.GetInt("axis", none) is long axis && (axis == 1 || axis == 1 - type.Rank);
}
