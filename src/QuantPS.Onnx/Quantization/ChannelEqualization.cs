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

    /// <summary>Between depthwise convolutions a factor costs the weights nothing, but a range is known the less surely the smaller it is, and a channel that
    /// was spread over all integers has none left for what calibration did not see. Of the networks of docs/MODELS.md, calibrated with 14 images, others lost up
    /// to 3 dB with 1 and gained less with 0.5.</summary>
    private const float DepthwiseExponent = 0.7f;

    /// <summary>Room over what was seen, in shares of it, times the samples. Of n samples and one more, each is as likely to be the largest: the next one exceeds a channel's extremes in one case
    /// of n + 1. Without room, MobileNetV3 and MobileFaceNet lost 2 to 4 dB with 4 images to calibrate with, and 1 with 14.</summary>
    private const float RoomTimesSamples = 2;

    /// <summary>The values whose channels are worth watching one by one: those between convolutions and element-wise functions, and those that share
    /// their factors with what a depthwise convolution makes or takes.</summary>
    /// <param name="plan">The plan that is calibrated with.</param>
    /// <param name="config">ONNX Runtime's tool knows nothing of the kind.</param>
    internal static IEnumerable<string> Candidates(QuantizationPlan plan, QConfig config)
    {
        if (config.Backend == EngineKind.OnnxRuntime)
            return [];
        bool functions = plan.Nodes.Any(n => n.Operator is TableOperator);
        IEnumerable<string> aroundFunctions = plan.Nodes.Where(n => functions && n.Operator is Conv).SelectMany(n => n.Inputs.Append(n.Node.Output[0]));
        IEnumerable<string> classes = Places(Classes(plan, new QuantizeOptions()), plan.Observed).SelectMany(p => p);
        return aroundFunctions.Concat(classes).Distinct()
            .Where(v => plan.Root(v) == v && !plan.Model.Graph.IsOutput(v) && plan.Model.Graph.Producer(v) is not null && plan.Types[v] is { Rank: > 1 } type && type.Dims[1] > 1);
    }

    /// <summary>All values whose channels are worth watching, each with the dimension of its channels.</summary>
    /// <param name="plan">The plan that is calibrated with.</param>
    /// <param name="config">Its configuration.</param>
    internal static IReadOnlyList<(string Value, int Axis)> Watched(QuantizationPlan plan, QConfig config)
    {
        string[] own = [.. Candidates(plan, config)];
        return [.. own.Select(v => (v, 1)), .. ResidualEqualization.Candidates(plan, config).Where(c => !own.Contains(c.Value))];
    }

    /// <summary>Which channels have to have one factor.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="options">What the user said of a tensor leaves it as it is.</param>
    private static ChannelClasses Classes(QuantizationPlan plan, QuantizeOptions options)
    {
        // A LeakyRelu in a chain is the chain's.
        HashSet<NodeProto> functions = new(plan.Nodes.Where(n => n.Operator is ElementwiseChain).SelectMany(n => n.Parts), ReferenceEqualityComparer.Instance);
        return new ChannelClasses(plan.Model.Graph, plan.Types, n => functions.Contains(n) || n.Input.Skip(1).Any(options.Tensors.ContainsKey), options.Tensors.ContainsKey);
    }

    /// <summary>The values whose channels hang together, as one scale is for all channels of a value and one factor for all of a class: a convolution's
    /// result, or a whole stream of sums. Those that no depthwise convolution touches, or where nothing may be scaled, are left out.</summary>
    private static IEnumerable<string[]> Places(ChannelClasses classes, IEnumerable<string> values)
    {
        Dictionary<int, List<string>> byClass = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        string[] known = [.. values.Where(v => classes.CountOf(v) > 1)];
        foreach (string value in known)
        {
            for (int c = 0; c < classes.CountOf(value); c++)
            {
                int of = classes.ClassOf(value, c);
                if (!byClass.TryGetValue(of, out List<string>? list))
                    byClass[of] = list = [];
                if (list.Count == 0 || list[^1] != value)
                    list.Add(value);
            }
        }
        foreach (string start in known)
        {
            if (!seen.Add(start))
                continue;
            List<string> place = [start];
            for (int i = 0; i < place.Count; i++)
            {
                for (int c = 0; c < classes.CountOf(place[i]); c++)
                    place.AddRange(byClass[classes.ClassOf(place[i], c)].Where(seen.Add));
            }
            (string Value, int Channel)[] channels = [.. place.SelectMany(v => Enumerable.Range(0, classes.CountOf(v)).Select(c => (v, c)))];
            if (channels.Any(c => classes.MeetsDepthwise(c.Value, c.Channel)) && channels.Any(c => !classes.IsFixed(c.Value, c.Channel)))
                yield return [.. place];
        }
    }

    /// <summary>What watches the channels of a value.</summary>
    /// <param name="axis">Dimension of the channels.</param>
    internal static Observer CreateObserver(int axis = 1) =>
        new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, Scheme = QScheme.PerChannelAffine, ChannelAxis = axis }.Create();

    /// <summary>The calibration of the equalized model; the given one where there is nothing to equalize.</summary>
    /// <param name="calibration">With the ranges of channels.</param>
    /// <param name="config">Its configuration, with the options.</param>
    /// <param name="options">What the user said of a node or tensor leaves it as it is.</param>
    /// <param name="plan">What becomes of the nodes without equalization.</param>
    internal static CalibrationData Apply(CalibrationData calibration, QConfig config, QuantizeOptions options, QuantizationPlan plan)
    {
        if (!options.Equalizes(config))
            return calibration;
        GraphIndex graph = plan.Model.Graph;
        Dictionary<string, PlannedNode> makers = plan.Nodes.Where(n => n.IsQuantized).ToDictionary(n => n.Output, StringComparer.Ordinal);
        Dictionary<NodeProto, PlannedNode> takers = new(ReferenceEqualityComparer.Instance);
        foreach (PlannedNode node in plan.Nodes.Where(n => n.IsQuantized))
        {
            foreach (NodeProto part in node.Parts)
                takers[part] = node;
        }
        List<(string Value, float[] Factors)> sites = [];
        double most = 0;
        foreach ((string value, Observer channels) in calibration.Channels.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            if (Seen(calibration, value) is null || options.Tensors.ContainsKey(value) || graph.IsOutput(value) || !makers.TryGetValue(value, out PlannedNode? maker)
                || !(IsPlainConv(maker) || IsFunction(maker)))
                continue;
            PlannedNode?[] users = [.. graph.Consumers(value).Select(takers.GetValueOrDefault).Distinct()];
            bool toConv = IsFunction(maker) && users.Length > 0 && users.All(u => u is not null && IsConv(u) && u.Inputs.Single() == value);
            bool toFunction = IsConv(maker) && users is [PlannedNode function] && IsFunction(function) && TakesFactors(function, graph.Consumers(value));
            if (!toConv && !toFunction)
                continue;
            bool dense = toConv && users.Any(u => u!.Node.GetInt("group", 1) == 1);
            sites.Add((value, Shared(RoomOf(calibration))));
            most = Math.Max(most, -Shared(1).Average(f => Math.Log2(f)));

            float[] Shared(float room) => dense ? Array.ConvertAll(Factors(channels, room), MathF.Sqrt) : Factors(channels, room);
        }
        ChannelClasses classes = Classes(plan, options);
        ParameterRules rules = new(config.Backend, options.MinimumRealRange);
        // Without chains a network is PyTorch's own, but for where that would lose much. What is given away as room was there to gain.
        if (options.EqualizeChannels is null && !plan.Nodes.Any(n => n.Chain.Count > 0))
        {
            _ = ClassFactors(calibration, classes, plan, rules, 1, ref most);
            if (most < BitsWorthwhile)
                return calibration;
        }
        Dictionary<int, float> scaled = ClassFactors(calibration, classes, plan, rules, RoomOf(calibration), ref most);
        if (sites.Count == 0 && scaled.Count == 0)
            return calibration;
        // Of all that is scaled in the weights alone, by value.
        Dictionary<string, float[]> folded = new(StringComparer.Ordinal);
        foreach (string value in graph.Nodes.Where(n => ChannelClasses.IsLayer(graph, n)).SelectMany(n => (string[])[n.Input[0], n.Output[0]]).Concat(calibration.Channels.Keys.Where(v => Seen(calibration, v) is not null)))
        {
            float[] factors = [.. Enumerable.Range(0, classes.CountOf(value)).Select(c => scaled.GetValueOrDefault(classes.ClassOf(value, c), 1))];
            if (factors.Any(f => f != 1))
                folded[value] = factors;
        }
        return calibration.Cache.OfEqualized(new ChannelFactors(sites, folded, calibration.Channels.Values.Sum(c => c.ElementCount)), () => Rewrite(calibration, sites, folded, makers));

        bool IsConv(PlannedNode node) => node.Operator is Conv && !options.Tensors.ContainsKey(node.Node.Input[1]);

        bool IsPlainConv(PlannedNode node) => IsConv(node) && node is { FusedActivation: null, HasFloatOutput: false };

        // A second time the value may come in as a factor, as in x * Sigmoid(x).
        static bool TakesFactors(PlannedNode function, IReadOnlyList<NodeProto> places) => ReferenceEquals(places[0], function.Node)
            && (places.Count == 1 || (places is [_, { OpType: "Mul" } product] && !ReferenceEquals(product, function.Node)));

        bool IsFunction(PlannedNode node) => node is { Operator: ElementwiseChain, HasFloatOutput: false }
            || (node is { Operator: TableOperator, HasFloatOutput: false } && !ChannelTies.Passes(node.Node));
    }

    /// <summary>What the channels of a value gain on average, in bits: how much finer their steps get.</summary>
    /// <param name="step">The value's step without factors, as its observer would have it.</param>
    /// <param name="spec">The observer's.</param>
    /// <param name="channels">The ranges of the channels.</param>
    /// <param name="factors">One a channel.</param>
    private static double Gain(float step, ObserverSpec spec, Observer channels, float[] factors) =>
        Math.Log2(step / Ranged(spec, channels, factors).CalculateQParams().Scales[0]) - factors.Average(f => Math.Log2(f));

    /// <summary>The ranges of the channels along dimension 1; those of rows are <see cref="ResidualEqualization"/>'s.</summary>
    private static Observer? Seen(CalibrationData calibration, string value) =>
        calibration.Channels.TryGetValue(value, out Observer? channels) && channels is { HasObserved: true, Spec.ChannelAxis: 1 } ? channels : null;

    internal static float RoomOf(CalibrationData calibration) => 1 + RoomTimesSamples / Math.Max(1, calibration.SampleCount);

    /// <summary>For each channel the smallest factor that takes it, with some room, into a range for all. That range has one end of the whole value's, and the
    /// other end where the channels, taken together, come out finest: their steps' geometric mean is smallest.</summary>
    internal static float[] Factors(Observer channels, float room)
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
            [.. lows.Zip(highs, (cl, ch) => Math.Clamp(room * MathF.Max(l < 0 ? cl / l : 0, h > 0 ? ch / h : 0), SmallestFactor, 1))];

        static double MeanStep(float[] factors, float l, float h) => Math.Log(h - l) + factors.Average(f => Math.Log(f));
    }

    /// <summary>A factor for each class of channels that gets one: the smallest that takes no value out of its range.</summary>
    /// <param name="calibration">With the ranges of channels.</param>
    /// <param name="classes">Which channels have to have one factor.</param>
    /// <param name="plan">What becomes of the values.</param>
    /// <param name="rules">How steps follow from what was observed.</param>
    /// <param name="room">Ranges are taken for so many times what was seen.</param>
    /// <param name="most">What a place gains, in bits; raised by what these do.</param>
    private static Dictionary<int, float> ClassFactors(CalibrationData calibration, ChannelClasses classes, QuantizationPlan plan, ParameterRules rules,
        float room, ref double most)
    {
        Dictionary<int, float> scaled = [];
        foreach (string[] place in Places(classes, plan.Observed))
        {
            // Of a value that nothing is known of channel by channel, no channel may grow.
            Dictionary<int, float> factors = [];
            foreach (string value in place)
            {
                float[]? own = Seen(calibration, value) is Observer channels ? Factors(channels, room) : null;
                for (int c = 0; c < classes.CountOf(value); c++)
                    Raise(value, c, own?[c] ?? 1);
            }
            foreach ((string value, ActivationRange range) in classes.Limits.Where(l => factors.ContainsKey(classes.ClassOf(l.Value, 0))))
            {
                Observer? channels = plan.Root(value) is string root && classes.CanTie(root, value) ? Seen(calibration, root) : null;
                for (int c = 0; c < classes.CountOf(value); c++)
                {
                    // What reaches a limit already may not grow.
                    Raise(value, c, channels is not null ? MathF.Max(Share(channels.MaxValues[c], range.High), Share(channels.MinValues[c], range.Low)) : 1);
                }
            }
            if (factors.Values.All(f => f == 1))
                continue;
            double gain = place.Average(v => Seen(calibration, v) is Observer channels && calibration.Observers[v] is Observer now
                ? Gain(calibration.Cache.OfValue(now, now.Spec, rules).Scales[0], now.Spec, channels, [.. Enumerable.Range(0, classes.CountOf(v)).Select(c => factors[classes.ClassOf(v, c)])])
                : 0);
            if (gain <= 0)
                continue;
            most = Math.Max(most, -place.Average(v => Enumerable.Range(0, classes.CountOf(v)).Average(c => Math.Log2(factors[classes.ClassOf(v, c)]))));
            foreach ((int of, float factor) in factors.Where(f => f.Value < 1))
                scaled[of] = factor;

            void Raise(string value, int channel, float least)
            {
                int of = classes.ClassOf(value, channel);
                if (classes.IsFixed(value, channel))
                    least = 1;
                else if (classes.MeetsDense(value, channel))
                    least = MathF.Sqrt(least);
                else
                    least = MathF.Pow(least, DepthwiseExponent);
                factors[of] = MathF.Max(factors.GetValueOrDefault(of), MathF.Min(least, 1));
            }
        }
        return scaled;

        static float Share(float value, float limit) => limit == 0 || float.IsInfinity(limit) ? 0 : Math.Clamp(value / limit, 0, 1);
    }

    private static CalibrationData Rewrite(CalibrationData calibration, List<(string Value, float[] Factors)> sites, Dictionary<string, float[]> folded,
        Dictionary<string, PlannedNode> makers)
    {
        OnnxModel model = calibration.Model.Clone();
        PassContext context = new(model);
        Dictionary<string, Observer> observers = new(calibration.Observers, StringComparer.Ordinal);
        // By the layer's own output.
        Dictionary<string, (float[]? Outputs, float[]? Inputs)> layers = new(StringComparer.Ordinal);
        foreach (NodeProto node in context.Graph.Nodes.Where(n => ChannelClasses.IsLayer(context.Graph, n)))
        {
            (float[]? outputs, float[]? inputs) = (folded.GetValueOrDefault(node.Output[0]), folded.GetValueOrDefault(node.Input[0]));
            if (outputs is not null || inputs is not null)
                layers[node.Output[0]] = (outputs, inputs);
        }
        foreach ((string value, float[] factors) in folded)
        {
            if (Seen(calibration, value) is Observer channels)
                observers[value] = Ranged(observers[value].Spec, channels, factors);
        }
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
        model.Preparation = [.. model.Preparation, new AppliedPass(nameof(ChannelEqualization), sites.Count + folded.Keys.Count(v => Seen(calibration, v) is not null))];
        // What was seen of a channel that has a factor now holds no longer.
        HashSet<string> changed = [.. folded.Keys, .. sites.Select(s => s.Value)];
        return calibration.Rewritten(new QuantizationPlan(model, calibration.QConfig), observers) with
        {
            Channels = calibration.Channels.Where(c => !changed.Contains(c.Key)).ToDictionary(StringComparer.Ordinal),
        };
    }

    /// <summary>What an observer of the extremes would have seen of the equalized value.</summary>
    internal static Observer Ranged(ObserverSpec spec, Observer channels, float[] factors)
    {
        Observer observer = (spec with { Kind = ObserverKind.MinMax }).Create();
        float low = channels.MinValues.ToArray().Zip(factors, (v, f) => v / f).Min(), high = channels.MaxValues.ToArray().Zip(factors, (v, f) => v / f).Max();
        observer.Observe(new Tensor([2], new[] { low, high }));
        return observer;
    }
}
