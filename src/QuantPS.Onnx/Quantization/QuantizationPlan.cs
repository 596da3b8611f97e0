using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Quantization;

/// <summary>A node as quantization sees it.</summary>
public sealed record PlannedNode
{
    public required NodeProto Node { get; init; }

    /// <summary>Position in the graph's running order.</summary>
    public required int Index { get; init; }

    /// <summary>The int8 form; null when the node runs in float.</summary>
    public QuantOperator? Operator { get; init; }

    /// <summary>Why the node runs in float; null when it runs in int8.</summary>
    public string? Reason { get; init; }

    /// <summary>It would run in int8 if what it takes and makes had been observed.</summary>
    public bool IsUnobserved { get; init; }

    /// <summary>The Relu or Clip that became part of the node.</summary>
    public NodeProto? FusedActivation { get; init; }

    /// <summary>The Add of a constant that became the node's bias.</summary>
    public NodeProto? BiasAdd { get; init; }

    /// <summary>Element-wise nodes behind it that are computed with it, in running order (<see cref="ElementwiseChain"/>).</summary>
    public IReadOnlyList<NodeProto> Chain { get; init; } = [];

    /// <summary>Products with constants before it that are computed with it (<see cref="NormalizedSum"/>).</summary>
    public IReadOnlyList<NodeProto> Before { get; init; } = [];

    /// <summary>Its integers end in it: what leaves is float.</summary>
    public bool HasFloatOutput { get; init; }

    /// <summary>What the fused activation lets through.</summary>
    public ActivationRange Range { get; init; } = ActivationRange.All;

    public bool IsQuantized => Operator is not null;

    public string Name => GraphIndex.DisplayName(Node);

    /// <summary>"Conv", "Conv+Relu", ...</summary>
    public string OpType => string.Join('+', new[] { Node, FusedActivation }.Concat(Chain).OfType<NodeProto>().Select(n => n.OpType));

    /// <summary>The value that leaves, behind a fused bias and activation; the first one where there are several.</summary>
    public string Output => (Chain.LastOrDefault() ?? FusedActivation ?? BiasAdd ?? Node).Output[0];

    /// <summary>The values that leave quantized; empty for a float node.</summary>
    public IEnumerable<string> Outputs => HasFloatOutput ? [] : Operator?.QuantizedOutputs(Node).Select(i => i == 0 ? Output : Node.Output[i]) ?? [];

    /// <summary>The activations that come in, in the operator's order, constants among them; empty for a float node.</summary>
    public IEnumerable<string> Inputs => Operator is NormalizedSum sum ? sum.Operands : Operator?.ActivationInputs(Node).Select(i => Node.Input[i]) ?? [];

    /// <summary>All values that it takes, constants among them.</summary>
    internal IEnumerable<string> Taken => Before.Append(Node).SelectMany(GraphIndex.InputsOf).Except(Before.Select(n => n.Output[0]));

    /// <summary>The nodes of the float graph that it stands for.</summary>
    internal IEnumerable<NodeProto> Parts => new[] { Node, BiasAdd, FusedActivation }.OfType<NodeProto>().Concat(Chain).Concat(Before);
}

/// <summary>Which nodes of a float graph can run in int8, and which values have to be observed for that. Needs no data.</summary>
/// <remarks>Operators with weights are quantized wherever they can be. Any other operator is where all its activations already are
/// integers:
/// a lone Add or Relu is not worth a quantization (unless the configuration forces it). A Relu or Clip behind a layer becomes part of it.</remarks>
public sealed class QuantizationPlan
{
    private readonly Dictionary<string, string> roots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PlannedNode> producers = new(StringComparer.Ordinal);
    private readonly QConfig? config;
    private readonly QuantizeOptions options;
    private readonly QuantizationPlan? calibrated;
    private readonly IReadOnlySet<string>? known;
    private readonly ILookup<string, PlannedNode> takers;

    /// <param name="model">The float model, after the passes.</param>
    /// <param name="config">Which layers stay float, and which have observers of their own; none without.</param>
    /// <exception cref="QuantException">NothingToQuantize, InvalidModel, UnsupportedOperator. LayerNotFound: a pattern of the configuration
    /// matches nothing.</exception>
    public QuantizationPlan(OnnxModel model, QConfig? config = null) : this(model, config, new QuantizeOptions(), null)
    {
    }

    /// <summary>A plan for what another plan observed.</summary>
    /// <param name="observed">The plan that was calibrated with.</param>
    /// <param name="config">Which layers stay float, and which have observers of their own.</param>
    /// <param name="options">What else is to be quantized, or not.</param>
    /// <exception cref="QuantException">As above. InvalidArgument: an operator type that has no int8 form.</exception>
    public QuantizationPlan(QuantizationPlan observed, QConfig config, QuantizeOptions options) : this(observed.Model, config, options, observed)
    {
    }

    /// <summary>A plan for values of which something is known.</summary>
    /// <param name="model">The float model, after the passes.</param>
    /// <param name="config">Which layers stay float.</param>
    /// <param name="known">The values that can have parameters of their own.</param>
    internal QuantizationPlan(OnnxModel model, QConfig config, IReadOnlySet<string> known) : this(model, config, new QuantizeOptions(), null, known)
    {
    }

    private QuantizationPlan(OnnxModel model, QConfig? config, QuantizeOptions options, QuantizationPlan? calibrated, IReadOnlySet<string>? known = null)
    {
        this.known = known;
        Model = model;
        this.config = config;
        this.options = options;
        this.calibrated = calibrated;
        Types = calibrated?.Types ?? ValueTypes.Infer(model);
        GraphIndex graph = model.Graph;
        // Constant nodes are values, not work.
        NodeProto[] work = [.. graph.Nodes.Where(n => n.Output.Count == 0 || graph.Constant(n.Output[0]) is null)];
        OptionPatterns.Check(options, model.Name, work, OperatorRegistry.OpTypes);
        Dictionary<NodeProto, string?> reasons = new(ReferenceEqualityComparer.Instance);
        Dictionary<NodeProto, QuantOperator> forms = new(ReferenceEqualityComparer.Instance);
        HashSet<string> quantized = new(StringComparer.Ordinal);
        foreach (NodeProto node in work)
        {
            string? reason = reasons[node] = WhyFloat(graph, node, out QuantOperator? form);
            if (reason is not null)
                continue;
            forms[node] = form!;
            if (form!.IsWorthwhile(ContextOf(node)))
                quantized.UnionWith(form.ActivationInputs(node).Select(i => node.Input[i]));
        }

        Dictionary<NodeProto, NormalizedSum> sums = NormalizedSums(work, forms);
        HashSet<NodeProto> scales = new(sums.Values.SelectMany(s => s.Scales), ReferenceEqualityComparer.Instance);
        List<PlannedNode> nodes = [];
        List<string> observed = [], constants = [];
        HashSet<NodeProto> fused = new(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < work.Length; i++)
        {
            NodeProto node = work[i];
            if (fused.Contains(node) || scales.Contains(node))
                continue;
            QuantOperator? op = forms.GetValueOrDefault(node);
            string? reason = reasons[node];
            PlannedNode planned = new() { Node = node, Index = i, Operator = op };
            if (sums.TryGetValue(node, out NormalizedSum? sum))
            {
                if (sum.Operands.All(v => graph.Constant(v) is not null || quantized.Contains(v)))
                    planned = planned with { Operator = sum, Before = sum.Scales, Chain = [sum.Normalization] };
                else
                    nodes.AddRange(sum.Scales.Select(s => new PlannedNode { Node = s, Index = i, Reason = "it belongs to a sum that stays float" }));
            }
            if (reason is null)
            {
                string[] inputs = [.. planned.Inputs.Where(v => graph.Constant(v) is null)];
                bool forced = config is { ForceQuantize: true } && inputs.Length > 0 && op!.SharesInputQParams(ContextOf(node));
                reason = !forced && inputs.FirstOrDefault(v => !quantized.Contains(v)) is string floating ? $"its input '{floating}' is float"
                    : inputs.Length == 0 && !op!.IsWorthwhile(ContextOf(node)) ? "its inputs are constants" : null;
                planned = reason is null && planned.Operator is not NormalizedSum ? Chained(planned, forms) ?? Fuse(planned, reasons, forms) : planned;
            }
            string? unobserved = reason is null ? WhyUnobserved(planned) : null;
            reason ??= unobserved;
            if (reason is not null)
            {
                nodes.Add(new PlannedNode { Node = node, Index = i, Reason = reason, IsUnobserved = unobserved is not null });
                continue;
            }
            fused.UnionWith(planned.Parts.Skip(1));
            nodes.Add(planned);
            foreach (string input in planned.Inputs)
                Observe(input);
            foreach (string output in planned.Outputs)
            {
                quantized.Add(output);
                if (planned.Operator!.SharesInputQParams(ContextOf(node)))
                    roots[output] = roots[planned.Inputs.First()];
                else
                    Observe(output, planned);
            }
            // So that the Add can still be excluded afterwards. What a Relu or Clip cuts off is not watched: that would keep ONNX Runtime from making it with its layer.
            if (calibrated is null && planned.BiasAdd is not null && (known is null || known.Contains(node.Output[0])))
                Observe(node.Output[0]);
        }
        Nodes = nodes;
        takers = nodes.SelectMany(n => n.Inputs.Distinct().Select(v => (Value: Root(v)!, Node: n))).ToLookup(t => t.Value, t => t.Node, StringComparer.Ordinal);
        Observed = observed;
        Constants = constants;
        CheckPatterns(work);
        if (!nodes.Any(n => n.IsQuantized))
        {
            if (ModelPlan.Suits(model))
            {
                string integers = string.Join(", ", work.Where(ModelPlan.Suits).CountBy(n => n.OpType)
                    .OrderByDescending(n => n.Value).Take(5).Select(n => $"{n.Key} x {n.Value}"));
                throw new QuantException(ErrorIds.NothingToQuantize, $"'{graph.Where}' is already quantized ({integers}) and has no float layer with weights left. "
                    + "Run it as it is (Import-QModel, Invoke-QModel), or calibrate the float model that it was made of.", model);
            }
            string why = string.Join("; ", nodes.Take(5).Select(n => $"{n.Name} ({n.OpType}): {n.Reason}"));
            throw new QuantException(ErrorIds.NothingToQuantize,
                $"'{graph.Where}' has no layer with weights that can be quantized ({why}{(nodes.Count > 5 ? "; ..." : "")}).{InBodies()}", model);
        }

        string InBodies()
        {
            string[] kinds = [.. work.SelectMany(TensorWalk.BodiesOf).SelectMany(TensorWalk.GraphsOf).SelectMany(g => g.Node)
                .Where(n => OperatorRegistry.Find(n).Any(o => o is WeightOperator)).Select(n => n.OpType).Distinct()];
            string[] holders = [.. work.Where(n => TensorWalk.BodiesOf(n).Any()).Select(n => n.OpType).Distinct()];
            return kinds.Length == 0 ? "" : $" Its {string.Join(", ", kinds)} nodes are in the bodies of {string.Join(", ", holders)}, where calibration does not see them: "
                + "use ConvertTo-Quantized -Dynamic -Subgraph, or export the model without that node.";
        }

        void Observe(string value, PlannedNode? producer = null)
        {
            if (!roots.TryAdd(value, value))
                return;
            (graph.Constant(value) is null ? observed : constants).Add(value);
            if (producer is not null)
                producers[value] = producer;
        }
    }

    /// <summary>The float model, after the passes.</summary>
    public OnnxModel Model { get; }

    public ValueTypes Types { get; }

    /// <summary>Every node in running order, fused activations left out.</summary>
    public IReadOnlyList<PlannedNode> Nodes { get; }

    /// <summary>The activations that need parameters of their own.</summary>
    public IReadOnlyList<string> Observed { get; }

    /// <summary>The constants that are quantized as activations (an operand of Add or Mul, a table of Gather): their own values tell their
    /// range.</summary>
    public IReadOnlyList<string> Constants { get; }

    /// <summary>The value whose parameters a quantized value has: its own, or those of what it was reshaped, pooled, limited from. Null for
    /// a float value.</summary>
    public string? Root(string value) => roots.GetValueOrDefault(value);

    /// <summary>The operator that makes a value with parameters of its own; null when it comes from outside the quantized part.</summary>
    public QuantOperator? OperatorOf(string root) => producers.GetValueOrDefault(root)?.Operator;

    /// <summary>The configuration for a value with parameters of its own: that of the layer that makes it; the general one for what comes
    /// from outside.</summary>
    public QConfig ConfigOf(string root, QConfig general) => producers.TryGetValue(root, out PlannedNode? node) ? general.For(node.Name) : general;

    /// <summary>Parameters that are fixed for a value, because its range is known beforehand; null to observe it.</summary>
    public QParams? FixedOutput(string root, QConfig general) => OperatorOf(root)?.FixedOutput(ConfigOf(root, general));

    public NodeContext ContextOf(NodeProto node) => new(Model.Graph, node, Types);

    public NodeContext ContextOf(PlannedNode node) => ContextOf(node.Node) with { BiasAdd = node.BiasAdd };

    /// <summary>The value whose statistics a value has: its own, or those of what it was moved from; null when it was not
    /// observed.</summary>
    internal string? StatisticsOf(string value) => calibrated is null ? value : calibrated.Root(value);

    /// <summary>The node with the element-wise ones behind it; null without such. Only for statistics at hand: a calibration watches every value, so that
    /// the options can be chosen after it.</summary>
    private PlannedNode? Chained(PlannedNode planned, Dictionary<NodeProto, QuantOperator> forms)
    {
        if (calibrated is null || !options.FusesChains(config))
            return null;
        QConfig? own = config?.For(planned.Name);
        ElementwiseChain? chain = ElementwiseChain.Find(Model.Graph, Types, planned.Node, n => IsFree(n) ? forms.GetValueOrDefault(n) : null);
        return chain is null ? null : planned with { Operator = chain, Chain = [.. chain.Nodes.Skip(1)] };

        // What the user said of one of the nodes, or of a value between, holds for that one alone.
        bool IsFree(NodeProto node) => config?.For(GraphIndex.DisplayName(node)) == own && OptionPatterns.Match(options.FloatOutputs, node.OpType) is null
            && (ReferenceEquals(node, planned.Node) || !node.Input.Any(options.Tensors.ContainsKey));
    }

    /// <summary>By the Add, the normalized sums with factors, which equalization has put there; sums without stay as they are, in a node each, as PyTorch has them.</summary>
    private Dictionary<NodeProto, NormalizedSum> NormalizedSums(NodeProto[] work, Dictionary<NodeProto, QuantOperator> forms)
    {
        Dictionary<NodeProto, NormalizedSum> sums = new(ReferenceEqualityComparer.Instance);
        if (calibrated is null || !options.FusesChains(config))
            return sums;
        foreach (NodeProto add in work.Where(n => n.Is("Add")))
        {
            if (NormalizedSum.Find(ContextOf(add)) is { Scales.Count: > 0 } sum && sum.Scales.Append(add).Append(sum.Normalization).All(n => forms.ContainsKey(n)
                && OptionPatterns.Match(options.FloatOutputs, n.OpType) is null && !n.Input.Append(n.Output[0]).Where(v => v != sum.Normalization.Output[0]).Except(sum.Operands).Any(options.Tensors.ContainsKey)))
                sums[add] = sum;
        }
        return sums;
    }

    /// <summary>The quantized nodes that take a value with parameters of its own, or what has the same ones.</summary>
    internal IEnumerable<PlannedNode> Takers(string root) => takers[root];

    /// <summary>Takes in the bias and the Relu or Clip that follow.</summary>
    private PlannedNode Fuse(PlannedNode planned, Dictionary<NodeProto, string?> reasons, Dictionary<NodeProto, QuantOperator> forms)
    {
        GraphIndex graph = Model.Graph;
        if (options.QuantizeBias && planned.Operator is WeightOperator op && op.BiasAdd(ContextOf(planned.Node)) is NodeProto add
            && NodeWeights.HasOwnAxes(ContextOf(planned.Node), op, options)
            && OptionPatterns.WhyExcluded(options, add, config?.Exclude) is null)
            planned = planned with { BiasAdd = add };
        if (OptionPatterns.Match(options.FloatOutputs, planned.Node.OpType) is not null)
            return planned with { HasFloatOutput = true };
        if (planned.Operator!.AbsorbsActivation && graph.OnlyConsumer(planned.Output) is NodeProto next
            && OptionPatterns.WhyExcluded(options, next, config?.Exclude) is null && GraphIndex.Input(next, 0) == planned.Output
            && OperatorRegistry.Find(next).FirstOrDefault()?.RangeOf(graph, next) is ActivationRange range)
            planned = planned with { FusedActivation = next, Range = range };
        return planned;
    }

    /// <summary>Why a node cannot be quantized with the statistics at hand; null when it can.</summary>
    private string? WhyUnobserved(PlannedNode planned) =>
        known is not null && planned.Inputs.Concat(planned.Operator!.SharesInputQParams(ContextOf(planned)) || planned.Operator.FixedOutput(config!) is not null
            ? [] : planned.Outputs).FirstOrDefault(v => Model.Graph.Constant(v) is null && !roots.ContainsKey(v) && !known.Contains(v)) is string missing
            ? $"the calibration's file has no range of '{missing}'"
        : planned.Inputs.Concat(planned.Outputs).FirstOrDefault(v => Model.Graph.Constant(v) is null && StatisticsOf(v) is null) is string unknown
            ? $"its value '{unknown}' was not observed; name what differs in New-QConfig and calibrate again" : null;

    /// <summary>A pattern that matches nothing is a mistake, of which the user would otherwise never hear.</summary>
    private void CheckPatterns(NodeProto[] work)
    {
        string[] all = [.. work.Select(GraphIndex.DisplayName)];
        foreach (string pattern in config?.Exclude ?? [])
            Check(pattern, all, "to exclude");
        string[] quantized = [.. Nodes.Where(n => n.IsQuantized).Select(n => n.Name)];
        foreach (LayerOverride found in config?.Overrides ?? [])
            Check(found.Pattern, quantized, "with an override that is quantized");

        void Check(string pattern, string[] names, string what)
        {
            if (names.Any(n => LayerPattern.Matches(pattern, n)))
                return;
            string[] inFloat = [.. all.Where(n => LayerPattern.Matches(pattern, n))];
            string help = inFloat.Length > 0 ? $"It matches only nodes that stay float or are part of another layer: {string.Join(", ", inFloat.Take(3))}"
                : names.Length > 0 ? $"The nearest names: {string.Join(", ", LayerPattern.Nearest(pattern, names))}" : "There is none";
            throw new QuantException(ErrorIds.LayerNotFound, $"'{Model.Name}' has no layer '{pattern}' {what}. {help}. Get-QLayer lists them.", pattern);
        }
    }

    private string? WhyFloat(GraphIndex graph, NodeProto node, out QuantOperator? form)
    {
        form = null;
        if (OptionPatterns.WhyExcluded(options, node, config?.Exclude) is string excluded)
            return excluded;
        if (options.Nodes.Count > 0 && OptionPatterns.Match(options.Nodes, GraphIndex.DisplayName(node)) is null)
            return "it is not among the nodes to quantize";
        if (options.OpTypes.Count > 0 && OptionPatterns.Match(options.OpTypes, node.OpType) is null)
            return "its type is not among those to quantize";
        string? first = null;
        foreach (QuantOperator candidate in OperatorRegistry.Find(node))
        {
            string? reason = WhyFloat(graph, node, candidate);
            if (reason is null)
            {
                form = candidate;
                return null;
            }
            first ??= reason;
        }
        return first ?? "the operator has no int8 form";
    }

    private string? WhyFloat(GraphIndex graph, NodeProto node, QuantOperator form)
    {
        if (options.ConstantMatMulOnly && form is MatMulOfActivations)
            return "only products with a constant are to be quantized";
        foreach (string input in form.ActivationInputs(node).Select(i => GraphIndex.Input(node, i)))
        {
            if (graph.Constant(input) is TensorProto constant)
            {
                if (form is WeightOperator)
                    return "its input is a constant";
                if (constant.Type() != TensorProto.Types.DataType.Float || constant.Count() == 0)
                    return $"its input '{input}' is not a float32 constant with values";
            }
            else if (!Types.IsFloat(input))
                return $"its input '{input}' is {Types[input]?.ElementType.ToString() ?? "of unknown type"}, not float32";
        }
        return form.WhyFloat(ContextOf(node));
    }
}
