using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

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

    /// <summary>The Relu or Clip that became part of the node.</summary>
    public NodeProto? FusedActivation { get; init; }

    /// <summary>What the fused activation lets through.</summary>
    public ActivationRange Range { get; init; } = ActivationRange.All;

    public bool IsQuantized => Operator is not null;

    public string Name => GraphIndex.DisplayName(Node);

    /// <summary>"Conv", "Conv+Relu", ...</summary>
    public string OpType => FusedActivation is null ? Node.OpType : $"{Node.OpType}+{FusedActivation.OpType}";

    /// <summary>The value that leaves, behind a fused activation.</summary>
    public string Output => (FusedActivation ?? Node).Output[0];

    /// <summary>The activations that come in, in the operator's order; empty for a float node.</summary>
    public IEnumerable<string> Inputs => Operator?.ActivationInputs.Select(i => Node.Input[i]) ?? [];
}

/// <summary>Which nodes of a float graph can run in int8, and which values have to be observed for that. Needs no data.</summary>
/// <remarks>Operators with weights are quantized wherever they can be. Any other operator is where all its activations already are integers:
/// a lone Add or Relu is not worth a quantization. A Relu or Clip behind a layer becomes part of it.</remarks>
public sealed class QuantizationPlan
{
    private readonly Dictionary<string, string> roots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PlannedNode> producers = new(StringComparer.Ordinal);
    private readonly QConfig? config;

    /// <param name="model">The float model, after the passes.</param>
    /// <param name="config">Which layers stay float, and which have observers of their own; none without.</param>
    /// <exception cref="QuantException">NothingToQuantize, InvalidModel, UnsupportedOperator. LayerNotFound: a pattern of the configuration matches nothing.</exception>
    public QuantizationPlan(OnnxModel model, QConfig? config = null)
    {
        Model = model;
        this.config = config;
        Types = ValueTypes.Infer(model);
        GraphIndex graph = model.Graph;
        // Constant nodes are values, not work.
        NodeProto[] work = [.. graph.Nodes.Where(n => n.Output.Count == 0 || graph.Constant(n.Output[0]) is null)];
        Dictionary<NodeProto, string?> reasons = new(ReferenceEqualityComparer.Instance);
        HashSet<string> quantized = new(StringComparer.Ordinal);
        foreach (NodeProto node in work)
        {
            string? reason = reasons[node] = WhyFloat(graph, node);
            if (reason is null && OperatorRegistry.Find(node) is WeightOperator weighted)
                quantized.UnionWith(weighted.ActivationInputs.Select(i => node.Input[i]));
        }

        List<PlannedNode> nodes = [];
        List<string> observed = [];
        HashSet<NodeProto> fused = new(ReferenceEqualityComparer.Instance);
        for (int i = 0; i < work.Length; i++)
        {
            NodeProto node = work[i];
            if (fused.Contains(node))
                continue;
            QuantOperator? op = OperatorRegistry.Find(node);
            string? reason = reasons[node];
            if (reason is null && op is not WeightOperator && op!.ActivationInputs.Select(k => node.Input[k]).FirstOrDefault(v => !quantized.Contains(v)) is string floating)
                reason = $"its input '{floating}' is float";
            if (reason is not null)
            {
                nodes.Add(new PlannedNode { Node = node, Index = i, Reason = reason });
                continue;
            }
            PlannedNode planned = new() { Node = node, Index = i, Operator = op };
            if (op!.AbsorbsActivation && graph.OnlyConsumer(node.Output[0]) is NodeProto next && reasons.GetValueOrDefault(next) is null
                && OperatorRegistry.Find(next)?.RangeOf(graph, next) is ActivationRange range && GraphIndex.Input(next, 0) == node.Output[0])
            {
                planned = planned with { FusedActivation = next, Range = range };
                fused.Add(next);
            }
            nodes.Add(planned);
            foreach (string input in planned.Inputs)
                Observe(input);
            quantized.Add(planned.Output);
            if (op.SharesInputQParams)
                roots[planned.Output] = roots[node.Input[op.ActivationInputs[0]]];
            else
                Observe(planned.Output, planned);
        }
        Nodes = nodes;
        Observed = observed;
        CheckPatterns(work);
        if (!nodes.Any(n => n.Operator is WeightOperator))
        {
            string why = string.Join("; ", nodes.Take(5).Select(n => $"{n.Name} ({n.OpType}): {n.Reason}"));
            throw new QuantException(ErrorIds.NothingToQuantize, $"'{graph.Where}' has no layer with weights that can be quantized ({why}{(nodes.Count > 5 ? "; ..." : "")}).", model);
        }

        void Observe(string value, PlannedNode? producer = null)
        {
            if (!roots.TryAdd(value, value))
                return;
            observed.Add(value);
            if (producer is not null)
                producers[value] = producer;
        }
    }

    /// <summary>The float model, after the passes.</summary>
    public OnnxModel Model { get; }

    public ValueTypes Types { get; }

    /// <summary>Every node in running order, fused activations left out.</summary>
    public IReadOnlyList<PlannedNode> Nodes { get; }

    /// <summary>The values that need parameters of their own.</summary>
    public IReadOnlyList<string> Observed { get; }

    /// <summary>The value whose parameters a quantized value has: its own, or those of what it was reshaped, pooled, limited from. Null for a float value.</summary>
    public string? Root(string value) => roots.GetValueOrDefault(value);

    /// <summary>The operator that makes a value with parameters of its own; null when it comes from outside the quantized part.</summary>
    public QuantOperator? OperatorOf(string root) => producers.GetValueOrDefault(root)?.Operator;

    /// <summary>The configuration for a value with parameters of its own: that of the layer that makes it; the general one for what comes from outside.</summary>
    public QConfig ConfigOf(string root, QConfig general) => producers.TryGetValue(root, out PlannedNode? node) ? general.For(node.Name) : general;

    /// <summary>Parameters that are fixed for a value, because its range is known beforehand; null to observe it.</summary>
    public QParams? FixedOutput(string root, QConfig general) => OperatorOf(root)?.FixedOutput(ConfigOf(root, general));

    public NodeContext ContextOf(NodeProto node) => new(Model.Graph, node, Types);

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

    private string? WhyFloat(GraphIndex graph, NodeProto node)
    {
        if (config?.Exclude.FirstOrDefault(p => LayerPattern.Matches(p, GraphIndex.DisplayName(node))) is string pattern)
            return pattern.Equals(GraphIndex.DisplayName(node), StringComparison.OrdinalIgnoreCase) ? "it is excluded" : $"it is excluded by '{pattern}'";
        if (OperatorRegistry.Find(node) is not QuantOperator op)
            return "the operator has no int8 form";
        foreach (string input in op.ActivationInputs.Select(i => GraphIndex.Input(node, i)))
        {
            if (graph.Constant(input) is not null && op is WeightOperator)
                return "its input is a constant";
            if (graph.Constant(input) is null && !Types.IsFloat(input))
                return $"its input '{input}' is {Types[input]?.ElementType.ToString() ?? "of unknown type"}, not float32";
        }
        return op.WhyFloat(ContextOf(node));
    }
}
