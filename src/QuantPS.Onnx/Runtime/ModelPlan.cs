using System.Collections.Concurrent;
using System.Diagnostics;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;
using QuantPS.Onnx.Runtime.Fusion;

namespace QuantPS.Onnx.Runtime;

/// <summary>A model as it came from a file, made ready to run: its layers of integers (QDQ and QOperator form) by this module's kernels, what is left of
/// ONNX's integer operators by this module's engine, runs of all other nodes by ONNX Runtime.</summary>
/// <remarks>As in ONNX Runtime, DequantizeLinear, an operator and QuantizeLinear become one layer, whose sums are exact integers; node by node, as the
/// standard defines them, the sums are float32. Integer nodes over constants are computed once, when the plan is made. Runs from any thread.</remarks>
public sealed class ModelPlan : IDisposable
{
    private readonly OnnxModel model;
    private readonly StepSequence steps;
    private readonly ConstantValues constants;
    private readonly ConcurrentBag<ActivationPool> pools = [];
    private bool isAlone;

    /// <param name="model">The model. It must not be changed afterwards.</param>
    /// <param name="settings">How to run the parts for ONNX Runtime.</param>
    /// <param name="fuse">Make layers of nodes that belong together; otherwise every node is run by itself.</param>
    /// <exception cref="QuantException">InvalidModel, UnsupportedOperator, ShapeMismatch (among constants).</exception>
    public ModelPlan(OnnxModel model, SessionSettings? settings = null, bool fuse = true)
    {
        this.model = model;
        ValueTypes types = ValueTypes.Infer(model);
        Inputs = types.Inputs;
        constants = new ConstantValues(model, types);
        string[] outputs = [.. model.Graph.Outputs.Select(o => o.Name)];
        steps = new StepSequence(StepFusion.Apply(Schedule(types, settings, fuse), outputs), Inputs.Types.Select(t => t.Name), outputs,
            settings?.Cancellation ?? default);
        // The steps have the other constants that they need.
        constants.Keep([.. model.Graph.Outputs.Select(o => o.Name).Where(constants.Has)]);
    }

    /// <summary>What the model takes.</summary>
    public ModelInputs Inputs { get; }

    /// <summary>How many runs of nodes there are on ONNX Runtime.</summary>
    public int FloatIslandCount => steps.FloatIslandCount;

    /// <summary>Nodes that this module's engine runs, constant ones and those that became part of a layer included.</summary>
    public int IntegerNodeCount { get; private set; }

    /// <summary>True when the model has nodes that this plan may run itself; otherwise it would hand everything to ONNX Runtime.</summary>
    public static bool Suits(OnnxModel model) => model.Graph.Nodes.Any(Suits);

    /// <summary>True for a node that computes on integers, or makes them or floats of each other.</summary>
    internal static bool Suits(NodeProto node) => IntegerOperatorRegistry.Find(node) is not null || QLinearForm.Find(node).Any();

    /// <summary>The nodes as they are run, in running order; what became part of a layer is in that.</summary>
    public IEnumerable<PlanLayer> Layers => steps.Steps.SelectMany(s => s.Layers);

    /// <summary>What it does, in running order.</summary>
    internal IEnumerable<PlanStep> Steps => steps.Steps;

    /// <summary>Runs a model with a single input; a sample (one dimension less) becomes a batch of one.</summary>
    public IReadOnlyDictionary<string, object> Run(Tensor input) => Run(Inputs.Named(input));

    /// <summary>Runs the model.</summary>
    /// <param name="inputs">A tensor for every input. For an input of integers it holds integers of that type.</param>
    /// <returns>Under each output's name a Tensor, or a QuantizedTensor for integers of up to 32 bits, see <see cref="OutputValues"/>.</returns>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument, UnsupportedDType, InferenceFailed.</exception>
    public IReadOnlyDictionary<string, object> Run(IReadOnlyDictionary<string, Tensor> inputs)
    {
        Inputs.Check(inputs);
        string? source = new ModelSample(inputs).Source;
        Dictionary<string, GraphValue> given = Inputs.Types.ToDictionary(t => t.Name, t => InputValues.Create(inputs[t.Name], t));
        return RunValues(given, values => model.Graph.Outputs.ToDictionary(o => o.Name,
            o => OutputValues.ToObject(values(o.Name), model, o.Name, source)));
    }

    public void Dispose() => steps.Dispose();

    /// <summary>How long each step of a run takes, in microseconds.</summary>
    internal List<(string Step, double Us)> Time(IReadOnlyDictionary<string, Tensor> inputs)
    {
        List<(string, double)> times = [];
        Dictionary<string, PlanStep> last = steps.Steps.ToDictionary(s => s.Outputs[^1]);
        long start = 0;
        if (!pools.TryTake(out ActivationPool? pool))
            pool = new ActivationPool();
        using (pool.Use())
        {
            using StepSequence.Values values = steps.Begin([.. Inputs.Types.Select(t => KeyValuePair.Create(t.Name, InputValues.Create(inputs[t.Name], t)))]);
            start = Stopwatch.GetTimestamp();
            values.Run((name, _) =>
            {
                if (!last.TryGetValue(name, out PlanStep? step))
                    return;
                long now = Stopwatch.GetTimestamp();
                times.Add((step.Description, Stopwatch.GetElapsedTime(start, now).TotalMicroseconds));
                start = Stopwatch.GetTimestamp();
            }, pool);
        }
        pools.Add(pool);
        return times;
    }

    /// <summary>Runs on values of any type; they are disposed, as are the outputs once <paramref name="use"/> is done with them.</summary>
    internal TResult RunValues<TResult>(Dictionary<string, GraphValue> given, Func<Func<string, GraphValue>, TResult> use)
    {
        if (!pools.TryTake(out ActivationPool? pool))
            pool = new ActivationPool();
        ActivationPool.Scope scope = pool.Use();
        using StepSequence.Values values = steps.Begin(given);
        try
        {
            using (KernelThreads.AloneScope? alone = isAlone ? KernelThreads.Alone() : null)
                values.Run(pool: pool);
            return use(name => values.Find(name) ?? constants.Find(name)!);
        }
        finally
        {
            scope.Dispose();
            pools.Add(pool);
        }
    }

    private List<PlanStep> Schedule(ValueTypes types, SessionSettings? settings, bool fuse)
    {
        GraphIndex index = model.Graph;
        NodeProto[] work = [.. index.Nodes.Where(n => !n.Output.Any(o => o.Length > 0 && index.Constant(o) is not null))];
        Dictionary<NodeProto, UnitStep> units = new(ReferenceEqualityComparer.Instance);
        HashSet<NodeProto> done = new(ReferenceEqualityComparer.Instance);
        UnitValues values = new(model, types, constants);
        QdqUnits qdq = new(values);
        QOperatorUnits integers = new(values);
        foreach (NodeProto node in fuse ? work : [])
        {
            if (done.Contains(node) || constants.IsConstant(node))
                continue;
            IntegerUnit[] found = qdq.FindPieces(node) is { Count: > 0 } pieces ? [.. pieces] : (qdq.Find(node) ?? integers.Find(node)) is { } unit ? [qdq.WithLimits(unit)] : [];
            UnitStep?[] made = Array.ConvertAll(found, u => UnitStep.Create(u, constants));
            if (made.Contains(null))
                continue;
            foreach (UnitStep step in made.OfType<UnitStep>())
            {
                // The layer runs where its last node would: everything that it needs is there by then.
                units[step.Unit.Nodes[^1]] = step;
                done.UnionWith(step.Unit.Nodes);
            }
        }

        // Nodes that belong to no layer because ONNX Runtime runs what is on either side.
        HashSet<NodeProto> handed = new(ReferenceEqualityComparer.Instance);
        List<PlanGroup> groups = Groups();
        while (fuse && IslandJoining.Find(groups, g => g.IsPart, SavedUs, goesOn: handed.Count > 0).SelectMany(g => g.Items).ToArray() is { Length: > 0 } small)
        {
            foreach (PlanItem item in small)
                Hand(item);
            groups = Groups();
        }
        IntegerNodeCount = work.Count(n => !handed.Contains(n) && (done.Contains(n) || OperatorOf(n) is not null));
        // The threads of a float part wait in a loop then, and layers do without any.
        isAlone = IslandJoining.IsLittleBeside(groups, g => g.IsPart, SavedUs);
        return [.. groups.SelectMany(g => g.IsPart ? Island(g) : g.Items.Select(i => i.Step!))];

        double SavedUs(PlanGroup group) => group.Items.Sum(i => i.Step is null ? 0 : IslandJoining.SavedUs(i.Step, types));

        List<PlanGroup> Groups()
        {
            List<PlanItem> items = [];
            foreach (NodeProto node in work)
            {
                if (units.TryGetValue(node, out UnitStep? unit))
                    items.Add(new PlanItem(node, unit));
                else if (!done.Contains(node) && !constants.IsConstant(node) && !IsDead(node))
                    items.Add(new PlanItem(node, handed.Contains(node) || OperatorOf(node) is not { } ours ? null : StepOf(node, ours)));
            }
            List<PlanGroup> result = [];
            foreach ((bool isOurs, List<PlanItem> group) in Scheduler.Group(items, index.Inputs.Select(i => i.Name), i => i.Step is not null,
                i => i.Step?.Inputs ?? GraphIndex.InputsOf(i.Node).Where(v => !constants.Has(v)), i => i.Step?.Outputs ?? i.Node.Output))
            {
                // Among other nodes they stay: there they cost ONNX Runtime next to nothing.
                FloatReshapeStep?[] shapes = [.. isOurs ? [] : group.Select(i => fuse ? FloatReshapeStep.Create(i.Node, index, types, ConstantOf) : null)];
                result.Add(isOurs ? new PlanGroup(group, IsPart: false)
                    : Array.TrueForAll(shapes, r => r is not null) ? new PlanGroup([.. group.Zip(shapes, (i, r) => i with { Step = r })], IsPart: false)
                    : new PlanGroup(group, IsPart: true));
            }
            return result;
        }

        void Hand(PlanItem item)
        {
            // A Split's pieces are layers of one node: all of them or none.
            HashSet<NodeProto> nodes = new(item.Step is UnitStep unit ? unit.Unit.Nodes : [item.Node], ReferenceEqualityComparer.Instance);
            foreach ((NodeProto last, UnitStep other) in units.Where(u => u.Value.Unit.Nodes.Any(nodes.Contains)).ToArray())
            {
                nodes.UnionWith(other.Unit.Nodes);
                units.Remove(last);
                other.Dispose();
            }
            done.ExceptWith(nodes);
            handed.UnionWith(nodes);
            handed.UnionWith(nodes.SelectMany(GraphIndex.InputsOf).Select(index.Producer).OfType<NodeProto>().Where(n => n.Is("DequantizeLinear") && !constants.IsConstant(n)));
        }

        IEnumerable<PlanStep> Island(PlanGroup group)
        {
            NodeProto[] own = [.. group.Items.Select(i => i.Node)];
            // ONNX Runtime has its integer operators only where it sees that weights are integers.
            NodeProto[] weights = [.. own.Where(handed.Contains).SelectMany(GraphIndex.InputsOf).Select(index.Producer).OfType<NodeProto>().Where(n => n.Is("DequantizeLinear") && constants.IsConstant(n))
                .Distinct<NodeProto>(ReferenceEqualityComparer.Instance)];
            HashSet<NodeProto> all = new(own, ReferenceEqualityComparer.Instance);
            HashSet<string> dequantized = [.. weights.Select(w => w.Output[0])];
            Func<string, bool> isNeeded = v => !dequantized.Contains(v) && (index.IsOutput(v) || index.Consumers(v).Any(c => !all.Contains(c)));
            // A model may compute what nobody asks for.
            if (own.Any(n => n.Output.Any(isNeeded)))
                yield return new FloatIsland(model, types, [.. weights, .. own], isNeeded, v => dequantized.Contains(v) ? null : ConstantOf(v), settings, isAlone);
        }

        TensorProto? ConstantOf(string value) => constants.Has(value) ? constants.Proto(value) : null;

        IntegerOperator? OperatorOf(NodeProto node) => IntegerOperatorRegistry.Find(node) is { } found && found.Claims(new IntegerNode(model, types, node)) ? found : null;

        PlanStep StepOf(NodeProto node, IntegerOperator ours) =>
            (fuse ? (PlanStep?)QuantizeStep.Create(node, values) ?? DequantizeStep.Create(node, values) : null)
            ?? new IntegerStep(node, ours.Plan(new IntegerNode(model, types, node)), constants.Find);

        // Dequantized for layers alone, which take the integers; or done by what quantizes it.
        bool IsDead(NodeProto node) => node.Is("DequantizeLinear")
            ? !index.IsOutput(node.Output[0]) && index.Consumers(node.Output[0]) is { Count: > 0 } consumers && consumers.All(done.Contains)
            : fuse && node.Is("Transpose") && index.OnlyConsumer(node.Output[0]) is { } next && !handed.Contains(next) && !handed.Contains(node) && QuantizeStep.Create(next, values)?.Transpose == node;
    }

    /// <param name="Node">A node; of a layer the last one.</param>
    /// <param name="Step">What runs it; null for ONNX Runtime.</param>
    private sealed record PlanItem(NodeProto Node, PlanStep? Step);

    /// <param name="Items">In running order.</param>
    /// <param name="IsPart">They are a float part; all have steps otherwise.</param>
    private sealed record PlanGroup(IReadOnlyList<PlanItem> Items, bool IsPart);
}
