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

/// <summary>Brings the channels of a transformer's values to like ranges before each value gets its one scale. What a LayerNormalization makes is divided in its factor and offset and
/// multiplied again in the rows of the matrices that take it; what a matrix or a table of embeddings adds to the residual stream is divided in its columns and multiplied again before the
/// sum, in float: with a LayerNormalization right behind it, sum and products become one step (<see cref="NormalizedSum"/>), and the sum is not rounded at all. The model computes the
/// same.</summary>
/// <remarks>Bondarenko et al. 2021, "Understanding and Overcoming the Challenges of Efficient Transformer Quantization", 3: of BERT's values the sums behind the feed-forward layers lose most,
/// as a few channels of theirs are tens of times wider than all others; there with 16 bits or a scale for each group of channels. Xiao et al. 2022, "SmoothQuant", 4, with alpha = 0.5:
/// factors of what layers take are the square root, as the spread goes into their weights. Wei et al. 2022, "Outlier Suppression", 4.1: LayerNormalization's factor is where the outlying
/// channels come from, and where they can be taken out. Columns of a matrix have scales of their own, so that their factors cost nothing.</remarks>
public static class ResidualEqualization
{
    /// <summary>What the channels of some value have to gain on average, in bits: networks without outlying channels stay PyTorch's own, to the bit. Set with four networks in view: two trained
    /// encoders gain 6, random weights 0.7 and 1.7.</summary>
    private const double BitsWorthwhile = 2.5;

    /// <summary>The values whose channels are worth watching one by one, each with the dimension of its channels.</summary>
    /// <param name="plan">The plan that is calibrated with.</param>
    /// <param name="config">ONNX Runtime's tool knows nothing of the kind.</param>
    internal static IEnumerable<(string Value, int Axis)> Candidates(QuantizationPlan plan, QConfig config)
    {
        if (config.Backend == EngineKind.OnnxRuntime)
            return [];
        Places places = new(plan, config, new QuantizeOptions());
        return places.Branches.SelectMany(b => b.Makers).Where(m => m.Table is null).Select(m => m.Value).Concat(places.Normalized.Select(n => n.Output)).Distinct()
            .Where(v => plan.Root(v) == v && plan.Types[v] is { Rank: > 1 }).Select(v => (v, plan.Types[v]!.Rank - 1));
    }

    /// <summary>The calibration of the equalized model; the given one where there is nothing to equalize.</summary>
    /// <param name="calibration">With the ranges of channels.</param>
    /// <param name="config">Its configuration, with the options.</param>
    /// <param name="options">What the user said of a node or tensor leaves it as it is.</param>
    /// <param name="plan">What becomes of the nodes without equalization.</param>
    internal static CalibrationData Apply(CalibrationData calibration, QConfig config, QuantizeOptions options, QuantizationPlan plan)
    {
        if (!options.Equalizes(config) || config.Backend == EngineKind.OnnxRuntime)
            return calibration;
        Places places = new(plan, config, options);
        float room = ChannelEqualization.RoomOf(calibration);
        // What is added up has one factor a channel: the largest that any of it needs.
        List<(Branch Branch, float[] Factors)> branches = [];
        List<(PlannedNode Node, float[] Factors)> normalized = [];
        double most = 0;
        foreach (Branch branch in places.Branches)
        {
            // A table's rows tell nothing of the stream that they go into, and all are known, whichever were looked up.
            bool isTable = branch.Makers.Any(m => m.Table is not null);
            Add(branches, branch, [.. branch.Makers.Select(m => (ChannelsOf(plan, calibration, m), m.Table is null ? room : 1))], !isTable, isFree: config.Weight.Scheme.IsPerChannel());
        }
        foreach (PlannedNode node in places.Normalized)
            Add(normalized, node, [(Observed(plan, calibration, node.Output), room)], counts: true, isFree: false);
        if (branches.Count + normalized.Count == 0 || (options.EqualizeChannels is null && most < BitsWorthwhile))
            return calibration;
        ChannelFactors all = new([.. branches.Select(b => (b.Branch.Value, b.Factors)), .. normalized.Select(n => (n.Node.Output, n.Factors))], new Dictionary<string, float[]>(),
            calibration.Channels.Values.Sum(c => c.ElementCount));
        return calibration.Cache.OfEqualized(all, () => Rewrite(calibration, branches, normalized));

        // Where factors are not free, matrices get half of the spread.
        void Add<T>(List<(T, float[])> to, T place, (Observer? Channels, float Room)[] makers, bool counts, bool isFree)
        {
            if (makers.Any(m => m.Channels is null))
                return;
            float[] factors = Shared(withRoom: true);
            if (factors.All(f => f == 1))
                return;
            to.Add((place, factors));
            // What is given away as room was there to gain.
            most = Math.Max(most, counts ? -Shared(withRoom: false).Average(f => Math.Log2(f)) : 0);

            float[] Shared(bool withRoom)
            {
                float[] largest = makers.Select(m => ChannelEqualization.Factors(m.Channels!, withRoom ? m.Room : 1)).Aggregate((a, b) => [.. a.Zip(b, MathF.Max)]);
                return isFree ? largest : Array.ConvertAll(largest, MathF.Sqrt);
            }
        }
    }

    private static Observer? ChannelsOf(QuantizationPlan plan, CalibrationData calibration, Maker maker)
    {
        if (maker.Table is null)
            return Observed(plan, calibration, maker.Value);
        Observer observer = ChannelEqualization.CreateObserver();
        observer.Observe(plan.Model.Graph.Constant(maker.Table)!.ToTensor());
        return observer;
    }

    private static Observer? Observed(QuantizationPlan plan, CalibrationData calibration, string value) =>
        calibration.Channels.TryGetValue(value, out Observer? channels) && channels.HasObserved && channels.Spec.ChannelAxis == plan.Types[value]?.Rank - 1 ? channels : null;

    private static CalibrationData Rewrite(CalibrationData calibration, List<(Branch Branch, float[] Factors)> branches, List<(PlannedNode Node, float[] Factors)> normalized)
    {
        OnnxModel model = calibration.Model.Clone();
        PassContext context = new(model);
        Dictionary<string, Observer> observers = new(calibration.Observers, StringComparer.Ordinal);
        foreach ((Branch branch, float[] factors) in branches)
        {
            foreach (Maker maker in branch.Makers)
            {
                if (maker.Table is not null)
                    Scale(context.Graph.Producer(maker.Value)!, 0, factors);
                else
                    See(maker.Value, factors);
                if (maker.Layer is { } planned)
                {
                    Layer(context.Graph.Producer(planned.Node.Output[0])!, outputs: factors);
                    // The sum of a bias is told by name, as the graph is another one by now.
                    if (planned.BiasAdd is NodeProto bias)
                        Scale(context.Graph.Producer(bias.Output[0])!, bias.Input[0] == planned.Node.Output[0] ? 1 : 0, factors);
                }
            }
            Multiply(branch.Value, branch.Sum, factors);
        }
        foreach ((PlannedNode node, float[] factors) in normalized)
        {
            NodeProto normalization = context.Graph.Producer(node.Output)!;
            for (int i = 1; i < 3 && GraphIndex.Input(normalization, i).Length > 0; i++)
                Scale(normalization, i, factors);
            See(node.Output, factors);
            foreach (NodeProto taker in context.Graph.Consumers(node.Output).ToArray())
            {
                if (taker.Is("Add"))
                    Multiply(node.Output, taker.Output[0], factors);
                else
                    Layer(taker, inputs: factors);
            }
        }
        model.Invalidate();
        model.Preparation = [.. model.Preparation, new AppliedPass(nameof(ResidualEqualization), branches.Count + normalized.Count)];
        return calibration.Rewritten(new QuantizationPlan(model, calibration.QConfig), observers);

        void See(string value, float[] factors) => observers[value] = ChannelEqualization.Ranged(observers[value].Spec, calibration.Channels[value], factors);

        void Layer(NodeProto node, float[]? outputs = null, float[]? inputs = null)
        {
            LayerWeights layer = LayerWeights.Open(context, node)!;
            for (int i = 0; i < layer.Weight.Length; i++)
                layer.Weight.Span[i] *= (inputs?[layer.InputOf(i)] ?? 1) / (outputs?[layer.OutputOf(i)] ?? 1);
            layer.Bias = outputs is null ? layer.Bias : layer.Bias?.Select((b, c) => b / outputs[c]).ToArray();
            layer.Save("equalized");
        }

        // Divides a constant whose last dimension is the channels'; as a new one, as others may use the old one.
        void Scale(NodeProto node, int index, float[] factors)
        {
            string old = node.Input[index];
            Tensor constant = context.Graph.Constant(old)!.ToTensor();
            for (int i = 0; i < constant.Length; i++)
                constant.Span[i] /= factors[i % factors.Length];
            node.Input[index] = context.Add(TensorProtos.Create(old + "_equalized", constant));
            context.RemoveUnused([old]);
        }

        void Multiply(string value, string sum, float[] factors)
        {
            NodeProto add = context.Graph.Producer(sum)!;
            string after = context.FreeName(value + "_rescaled"), constant = context.Add(TensorProtos.Create(value + "_rescale", factors, [factors.Length]));
            model.Proto.Graph.Node.Insert(model.Proto.Graph.Node.IndexOf(add), Nodes.Create("Mul", value + "_rescale", [value, constant], [after]));
            add.Input[add.Input.IndexOf(value)] = after;
            model.Invalidate();
        }
    }

    /// <summary>What makes a value, and where a factor can be put.</summary>
    /// <param name="Value">The value.</param>
    /// <param name="Layer">The matrix product; null for none.</param>
    /// <param name="Table">The constant that it is picked from; null for none.</param>
    private sealed record Maker(string Value, PlannedNode? Layer, string? Table);

    /// <summary>What comes to a normalized sum and goes nowhere else.</summary>
    /// <param name="Value">The operand of the sum.</param>
    /// <param name="Sum">The sum.</param>
    /// <param name="Makers">The operand's and, where it is a sum itself, its operands'.</param>
    private sealed record Branch(string Value, string Sum, IReadOnlyList<Maker> Makers);

    /// <summary>Where factors can be put.</summary>
    private sealed class Places
    {
        private readonly QuantizationPlan plan;
        private readonly QConfig config;
        private readonly QuantizeOptions options;
        private readonly Dictionary<NodeProto, PlannedNode> planned = new(ReferenceEqualityComparer.Instance);
        private readonly Dictionary<string, PlannedNode> makers;

        /// <param name="plan">What becomes of the nodes.</param>
        /// <param name="config">Layers with observers of their own are left alone.</param>
        /// <param name="options">Tensors of which the user said something, too.</param>
        public Places(QuantizationPlan plan, QConfig config, QuantizeOptions options)
        {
            (this.plan, this.config, this.options) = (plan, config, options);
            makers = plan.Nodes.Where(IsFree).ToDictionary(n => n.Output, StringComparer.Ordinal);
            foreach (PlannedNode node in makers.Values)
                planned[node.Node] = node;
            HashSet<NodeProto> sums = new(ReferenceEqualityComparer.Instance);
            foreach (PlannedNode add in makers.Values.OrderBy(n => n.Index).Where(n => n.Operator is Add))
            {
                if (NormalizedSum.Find(plan.ContextOf(add.Node)) is not { Scales.Count: 0 } sum || !planned.ContainsKey(sum.Normalization))
                    continue;
                sums.Add(add.Node);
                foreach (string operand in sum.Operands)
                {
                    List<Maker> found = [];
                    if (Make(operand, add.Node, found))
                        Branches.Add(new Branch(operand, add.Output, found));
                }
            }
            foreach (PlannedNode node in makers.Values.OrderBy(n => n.Index).Where(n => n.Operator is LayerNormalization))
            {
                IReadOnlyList<NodeProto> users = plan.Model.Graph.Consumers(node.Output);
                if (IsLast(node) && !plan.Model.Graph.IsOutput(node.Output) && users.Any(u => planned.TryGetValue(u, out PlannedNode? layer) && IsMatrix(layer))
                    && users.All(u => sums.Contains(u) || (planned.TryGetValue(u, out PlannedNode? layer) && IsMatrix(layer) && layer.Inputs.Single() == node.Output)))
                    Normalized.Add(node);
            }
        }

        public List<Branch> Branches { get; } = [];

        /// <summary>LayerNormalizations whose results matrices and normalized sums take.</summary>
        public List<PlannedNode> Normalized { get; } = [];

        /// <summary>A quantized node of one result, and nothing that the user said of it or its tensors.</summary>
        private bool IsFree(PlannedNode node) => node is { IsQuantized: true, HasFloatOutput: false, FusedActivation: null, Chain.Count: 0 } && node.Outputs.Count() == 1
            && !config.Overrides.Any(o => LayerPattern.Matches(o.Pattern, node.Name)) && !node.Parts.SelectMany(p => p.Input.Concat(p.Output)).Any(options.Tensors.ContainsKey);

        private static bool IsMatrix(PlannedNode node) => node.Operator is MatMul or Gemm;

        /// <summary>Whether the factors go along the last dimension.</summary>
        private bool IsLast(PlannedNode node) => plan.ContextOf(node).ConstantInput(1) is { Dims.Count: 1 } gain && plan.Types[node.Output] is { Rank: > 1 } type && type.Dims[^1] == gain.Count()
            && (GraphIndex.Input(node.Node, 2).Length == 0 || plan.ContextOf(node).ConstantInput(2)?.Count() == gain.Count());

        /// <summary>Whether factors can be put where a value is made that one node alone takes; collects the places.</summary>
        private bool Make(string value, NodeProto taker, List<Maker> found)
        {
            if (!ReferenceEquals(plan.Model.Graph.OnlyConsumer(value), taker) || !makers.TryGetValue(value, out PlannedNode? maker))
                return false;
            if (IsMatrix(maker) && LayerWeights.Suits(plan.Model.Graph, maker.Node))
            {
                found.Add(new Maker(value, maker, null));
                return true;
            }
            if (maker.Operator is Gather && plan.Model.Graph.Constant(maker.Node.Input[0]) is { Dims.Count: 2 } && maker.Node.GetInt("axis", 0) == 0)
            {
                found.Add(new Maker(value, null, maker.Node.Input[0]));
                return true;
            }
            if (maker.Operator is not Add || maker.Node.Input[0] == maker.Node.Input[1])
                return false;
            found.Add(new Maker(value, null, null));
            return maker.Node.Input.All(i => Make(i, maker.Node, found));
        }
    }
}
