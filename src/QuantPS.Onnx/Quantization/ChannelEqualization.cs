using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Passes;

namespace QuantPS.Onnx.Quantization;

/// <summary>Brings the channels of a value to like ranges before it gets its one scale, so that a few wide channels do not leave the others a handful of
/// integers. What computes the value divides by a factor per channel, what takes it multiplies: a convolution in its weights, an element-wise chain in its
/// table. The model computes the same.</summary>
/// <remarks>After Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", 4.1, with the ranges of the activations, as
/// observed, in the place of the weights': HardSwish and the like do not commute with factors, so that these have to stand on either side of it. Where a
/// dense convolution takes the value, its weights get the wider range, and factors are the square root, as in Xiao et al. 2022, "SmoothQuant", 4, with
/// alpha = 0.5.</remarks>
public static class ChannelEqualization
{
    /// <summary>A channel that hardly moved while calibrating may do so later: it is spread by no more than this.</summary>
    private const float SmallestFactor = 1f / 64;

    /// <summary>What a channel has to gain on average, in bits, where a network would otherwise be PyTorch's own.</summary>
    private const float BitsWorthwhile = 1;

    /// <summary>The values whose channels are worth watching one by one: those between convolutions and element-wise functions, and within
    /// separable convolutions.</summary>
    /// <param name="plan">The plan that is calibrated with.</param>
    /// <param name="config">ONNX Runtime's tool knows nothing of the kind.</param>
    internal static IEnumerable<string> Candidates(QuantizationPlan plan, QConfig config)
    {
        if (config.Backend == EngineKind.OnnxRuntime)
            return [];
        bool functions = plan.Nodes.Any(n => n.Operator is TableOperator);
        return plan.Nodes.Where(n => n.Operator is Conv).SelectMany(n => n.Inputs.Append(n.Node.Output[0])).Distinct()
            .Where(v => plan.Root(v) == v && !plan.Model.Graph.IsOutput(v) && plan.Model.Graph.Producer(v) is NodeProto maker && plan.Types[v] is { Rank: > 2 } type && type.Dims[1] > 1
                && (functions || IsSeparable(plan.Model.Graph, maker)));
    }

    /// <summary>A convolution whose result goes to convolutions and nowhere else, without a function between, either side depthwise: a separable convolution.
    /// Training keeps the channels of a result without an activation behind it in no common range.</summary>
    private static bool IsSeparable(GraphIndex graph, NodeProto maker)
    {
        NodeProto[] users = [.. graph.Consumers(maker.Output[0])];
        return maker.OpType == "Conv" && users.Length > 0 && users.All(u => u.OpType == "Conv") && (IsDepthwise(maker) || users.All(IsDepthwise));

        bool IsDepthwise(NodeProto conv) => graph.ConstantInput(conv, 1)?.Shape() is [int outputs, 1, ..] && outputs > 1 && conv.GetInt("group", 1) == outputs;
    }

    /// <summary>What watches the channels of a value.</summary>
    internal static Observer CreateObserver() =>
        new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, Scheme = QScheme.PerChannelAffine, ChannelAxis = 1 }.Create();

    /// <summary>The calibration of the equalized model; the given one where there is nothing to equalize.</summary>
    /// <param name="calibration">With the ranges of channels.</param>
    /// <param name="config">Its configuration, with the options.</param>
    /// <param name="options">What the user said of a node or tensor leaves it as it is.</param>
    /// <param name="plan">What becomes of the nodes without equalization.</param>
    internal static CalibrationData Apply(CalibrationData calibration, QConfig config, QuantizeOptions options, QuantizationPlan plan)
    {
        if (!options.Equalizes(config))
            return calibration;
        // Without chains a network is PyTorch's own, but for separable convolutions that would lose much.
        bool all = options.EqualizeChannels ?? plan.Nodes.Any(n => n.Chain.Count > 0);
        GraphIndex graph = plan.Model.Graph;
        Dictionary<string, PlannedNode> makers = plan.Nodes.Where(n => n.IsQuantized).ToDictionary(n => n.Output, StringComparer.Ordinal);
        Dictionary<NodeProto, PlannedNode> takers = new(ReferenceEqualityComparer.Instance);
        foreach (PlannedNode node in plan.Nodes.Where(n => n.IsQuantized))
        {
            foreach (NodeProto part in node.Parts)
                takers[part] = node;
        }
        List<(string Value, float[] Factors)> sites = [];
        foreach ((string value, Observer channels) in calibration.Channels.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            if (!channels.HasObserved || options.Tensors.ContainsKey(value) || graph.IsOutput(value) || !makers.TryGetValue(value, out PlannedNode? maker)
                || !(IsPlainConv(maker) || IsFunction(maker)))
                continue;
            if (!all && !IsSeparable(graph, maker.Node))
                continue;
            PlannedNode?[] users = [.. graph.Consumers(value).Select(takers.GetValueOrDefault).Distinct()];
            bool toConv = users.Length > 0 && users.All(u => u is not null && IsConv(u) && u.Inputs.Single() == value);
            bool toFunction = IsConv(maker) && users is [PlannedNode function] && IsFunction(function) && TakesFactors(function, graph.Consumers(value));
            if (!toConv && !toFunction)
                continue;
            float[] factors = Factors(channels);
            if (!all && factors.Average(f => -MathF.Log2(f)) < BitsWorthwhile)
                continue;
            bool dense = toConv && users.Any(u => u!.Node.GetInt("group", 1) == 1);
            sites.Add((value, dense ? Array.ConvertAll(factors, MathF.Sqrt) : factors));
        }
        return sites.Count == 0 ? calibration : Rewrite(calibration, sites, makers, config);

        bool IsConv(PlannedNode node) => node.Operator is Conv && !options.Tensors.ContainsKey(node.Node.Input[1]);

        bool IsPlainConv(PlannedNode node) => IsConv(node) && node is { FusedActivation: null, HasFloatOutput: false };

        // A second time the value may come in as a factor, as in x * Sigmoid(x).
        static bool TakesFactors(PlannedNode function, IReadOnlyList<NodeProto> places) => ReferenceEquals(places[0], function.Node)
            && (places.Count == 1 || (places is [_, { OpType: "Mul" } product] && !ReferenceEquals(product, function.Node)));

        bool IsFunction(PlannedNode node) => node is { Operator: TableOperator or ElementwiseChain, HasFloatOutput: false };
    }

    /// <summary>For each channel the smallest factor that takes it into a range for all. That range has one end of the whole value's, and the
    /// other end where the channels, taken together, come out finest: their steps' geometric mean is smallest.</summary>
    private static float[] Factors(Observer channels)
    {
        // 0 belongs to every quantized range.
        float[] lows = [.. channels.MinValues.ToArray().Select(v => MathF.Min(v, 0))], highs = [.. channels.MaxValues.ToArray().Select(v => MathF.Max(v, 0))];
        float low = lows.Min(), high = highs.Max();
        float[] best = Within(low, high);
        double bestStep = MeanStep(best, low, high);
        for (float stretch = 1; low < 0 && high > 0 && stretch <= 1 / SmallestFactor; stretch *= 1.25f)
        {
            foreach ((float l, float h) in ((float, float)[])[(MathF.Max(low * stretch, MathF.Min(low, -high)), high), (low, MathF.Min(high * stretch, MathF.Max(high, -low)))])
            {
                float[] factors = Within(l, h);
                double step = MeanStep(factors, l, h);
                if (step < bestStep)
                    (best, bestStep) = (factors, step);
            }
        }
        return best;

        float[] Within(float l, float h) =>
            [.. lows.Zip(highs, (cl, ch) => Math.Clamp(MathF.Max(l < 0 ? cl / l : 0, h > 0 ? ch / h : 0), SmallestFactor, 1))];

        static double MeanStep(float[] factors, float l, float h) => Math.Log(h - l) + factors.Average(f => Math.Log(f));
    }

    private static CalibrationData Rewrite(CalibrationData calibration, List<(string Value, float[] Factors)> sites, Dictionary<string, PlannedNode> makers,
        QConfig config)
    {
        OnnxModel model = calibration.Model.Clone();
        PassContext context = new(model);
        Dictionary<string, Observer> observers = new(calibration.Observers, StringComparer.Ordinal);
        Dictionary<string, (float[]? Outputs, float[]? Inputs)> layers = new(StringComparer.Ordinal);
        foreach ((string value, float[] factors) in sites)
        {
            NodeProto maker = context.Graph.Producer(value)!;
            NodeProto[] users = [.. context.Graph.Consumers(value)];
            int rank = calibration.Plan.Types[value]!.Rank;
            if (makers[value].Operator is Conv)
                layers[value] = layers.GetValueOrDefault(value) with { Outputs = factors };
            else
            {
                string before = maker.Output[0] = context.FreeName(value + "_unscaled");
                Insert(model.Proto.Graph.Node.IndexOf(maker) + 1, value + "_scale", before, value, Array.ConvertAll(factors, f => 1 / f));
            }
            foreach (NodeProto user in users)
            {
                if (user.OpType == "Conv")
                {
                    layers[user.Output[0]] = layers.GetValueOrDefault(user.Output[0]) with { Inputs = factors };
                    continue;
                }
                string after = context.FreeName(value + "_rescaled");
                if (user != users[0])
                {
                    // The factors of x in x * Sigmoid(x) go behind the product, where they are one more step of the chain.
                    string product = user.Output[0], before = user.Output[0] = context.FreeName(value + "_unscaled_product");
                    Insert(model.Proto.Graph.Node.IndexOf(user) + 1, value + "_rescale_product", before, product, factors);
                    continue;
                }
                int at = model.Proto.Graph.Node.IndexOf(user);
                user.Input[user.Input.IndexOf(value)] = after;
                Insert(at, value + "_rescale", value, after, factors);
            }
            observers[value] = Ranged(observers[value].Spec, calibration.Channels[value], factors);

            void Insert(int at, string name, string from, string to, float[] by)
            {
                string constant = context.Add(TensorProtos.Create(name, by, [1, by.Length, .. Enumerable.Repeat(1, rank - 2)]));
                model.Proto.Graph.Node.Insert(at, Nodes.Create("Mul", name, [from, constant], [to]));
                model.Invalidate();
            }
        }
        foreach ((string value, (float[]? outputs, float[]? inputs)) in layers)
        {
            LayerWeights layer = LayerWeights.Open(context, context.Graph.Producer(value)!)!;
            for (int i = 0; i < layer.Weight.Length; i++)
                layer.Weight.Span[i] *= (inputs?[layer.InputOf(i)] ?? 1) / (outputs?[layer.OutputOf(i)] ?? 1);
            layer.Bias = outputs is null ? layer.Bias : layer.Bias?.Select((b, c) => b / outputs[c]).ToArray();
            layer.Save("equalized");
        }
        model.Invalidate();
        model.Preparation = [.. model.Preparation, new AppliedPass(nameof(ChannelEqualization), sites.Count)];
        return calibration.Rewritten(new QuantizationPlan(model, calibration.QConfig), observers);
    }

    /// <summary>What an observer of the extremes would have seen of the equalized value.</summary>
    private static Observer Ranged(ObserverSpec spec, Observer channels, float[] factors)
    {
        Observer observer = (spec with { Kind = ObserverKind.MinMax }).Create();
        float low = channels.MinValues.ToArray().Zip(factors, (v, f) => v / f).Min(), high = channels.MaxValues.ToArray().Zip(factors, (v, f) => v / f).Max();
        observer.Observe(new Tensor([2], new[] { low, high }));
        return observer;
    }
}
