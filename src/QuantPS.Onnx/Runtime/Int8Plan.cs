using System.Collections.Concurrent;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized graph made ready to run: int8 nodes by this module's engine, runs of float nodes by ONNX Runtime.</summary>
/// <remarks>Made once, run many times, from several threads if need be. Values are dropped as soon as nothing needs them. Integer results
/// do
/// not depend on the batch size.</remarks>
public sealed class Int8Plan : IDisposable
{
    private readonly QuantizedGraph graph;
    // Every node by itself, for those who want to see values between; and with what can be done in one go.
    private readonly StepSequence every, steps;
    private readonly ConcurrentBag<ActivationPool> pools = [];

    /// <param name="graph">The quantized graph.</param>
    /// <param name="settings">How to run its float parts.</param>
    /// <exception cref="QuantException">InvalidModel, UnsupportedOperator: ONNX Runtime refuses a float part.</exception>
    public Int8Plan(QuantizedGraph graph, SessionSettings? settings = null)
    {
        this.graph = graph;
        string[] outputs = [.. graph.Float.Graph.Outputs.Select(o => o.Name)];
        CancellationToken cancellation = settings?.Cancellation ?? default;
        every = new StepSequence(Schedule(settings), Inputs.Types.Select(t => t.Name), outputs, cancellation);
        steps = new StepSequence(StepFusion.Apply([.. every.Steps], outputs), Inputs.Types.Select(t => t.Name), outputs, cancellation);
    }

    /// <summary>What the model takes.</summary>
    public ModelInputs Inputs => graph.Plan.Types.Inputs;

    /// <summary>How many runs of float nodes there are, quantized nodes without a kernel of ours among them.</summary>
    public int FloatIslandCount => steps.FloatIslandCount;

    /// <summary>What it does where nobody looks at the values between, in running order.</summary>
    internal IEnumerable<PlanStep> Steps => steps.Steps;

    /// <summary>Runs a model with a single input; a sample (one dimension less) becomes a batch of one.</summary>
    /// <exception cref="QuantException">ShapeMismatch, InferenceFailed.</exception>
    public PlanResult Run(Tensor input, IReadOnlySet<string>? capture = null) => Run(Inputs.Named(input), capture);

    /// <summary>Runs the model.</summary>
    /// <param name="inputs">A tensor for every input.</param>
    /// <param name="capture">Values of the graph to keep, for comparisons.</param>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument, InferenceFailed.</exception>
    public PlanResult Run(IReadOnlyDictionary<string, Tensor> inputs, IReadOnlySet<string>? capture = null)
    {
        Inputs.Check(inputs);
        string? source = inputs.Values.FirstOrDefault()?.Source;
        Dictionary<string, QuantizedTensor> integers = new(StringComparer.Ordinal);
        Dictionary<string, Tensor> captured = new(StringComparer.Ordinal);
        if (!pools.TryTake(out ActivationPool? pool))
            pool = new ActivationPool();
        ActivationPool.Scope scope = pool.Use();
        using StepSequence.Values values = (capture is null ? steps : every).Begin(Inputs.Types.Select(t => KeyValuePair.Create(t.Name, InputValues.Create(inputs[t.Name], t))));
        try
        {
            foreach (Execution.ValueType input in Inputs.Types)
                Capture(input.Name, values.Find(input.Name)!);
            // Captured values are the caller's.
            values.Run(capture is null ? null : Capture, capture is null ? pool : null);
            return new PlanResult(graph.Float.Graph.Outputs.ToDictionary(o => o.Name, o => Output(o.Name)), integers, captured);
        }
        finally
        {
            scope.Dispose();
            pools.Add(pool);
        }

        void Capture(string name, GraphValue value)
        {
            if (capture is null || !capture.Contains(name) || !value.IsReal)
                return;
            if (value.HasIntegers)
                integers[name] = value.Integers(graph.QParamsOf(name)!, graph.OnnxRule);
            captured[name] = value.Real();
        }

        Tensor Output(string name)
        {
            TensorProto? constant = graph.Float.Graph.Constant(name);
            if (constant is null && !values.Find(name)!.IsReal)
            {
                object typed = OutputValues.ToObject(values.Find(name)!, graph.Float, name, source);
                return typed as Tensor ?? ((QuantizedTensor)typed).Dequantize();
            }
            Tensor t = constant?.ToTensor() ?? values.Find(name)!.Real();
            return new Tensor(t.Shape, t.Memory) { Name = name, Source = source };
        }
    }

    /// <summary>What runs a node: the kernel of a layer with weights, "integers" for other operators of ours, "ONNX Runtime" for what is left to that, which
    /// are float nodes and quantized ones without a kernel.</summary>
    public static string KernelOf(QuantizedGraph graph, QuantizedNode node) =>
        !(node.IsQuantized ? QuantizedStep.HasKernel(graph, node) : OwnStep(graph, node) is not null) ? "ONNX Runtime"
        : node.Layer?.KernelName ?? PlanLayer.Integers;

    public void Dispose() => every.Dispose();

    private List<PlanStep> Schedule(SessionSettings? settings)
    {
        GraphIndex index = graph.Float.Graph;
        List<PlanStep> result = [];
        Dictionary<QuantizedNode, PlanStep> own = new(ReferenceEqualityComparer.Instance);
        foreach (QuantizedNode node in graph.Nodes)
        {
            if (OwnStep(graph, node) is { } step)
                own[node] = step;
        }
        foreach ((bool quantized, List<QuantizedNode> group) in Scheduler.Group(graph.Nodes, index.Inputs.Select(i => i.Name), n => n.IsQuantized || own.ContainsKey(n),
            n => n.Planned.Taken.Where(v => index.Constant(v) is null && index.SparseConstant(v) is null),
            n => n.Planned.Node.Output.Append(n.Planned.Output)))
        {
            if (quantized)
            {
                result.AddRange(group.Select(n => own.GetValueOrDefault(n) ?? QuantizedStep.Create(graph, n, settings)));
                continue;
            }
            NodeProto[] nodes = [.. group.Select(n => n.Planned.Node)];
            HashSet<NodeProto> together = new(nodes, ReferenceEqualityComparer.Instance);
            Func<string, bool> isNeeded = v => index.IsOutput(v) || index.Consumers(v).Any(c => !together.Contains(c));
            FloatReshapeStep?[] shapes = Array.ConvertAll(nodes, n => FloatReshapeStep.Create(n, index, graph.Plan.Types, index.Constant));
            if (Array.TrueForAll(shapes, r => r is not null))
                result.AddRange(shapes!);
            // A model may compute what nobody asks for.
            else if (nodes.Any(n => n.Output.Any(isNeeded)))
                result.Add(new FloatIsland(graph.Float, graph.Plan.Types, nodes, isNeeded, index.Constant, settings));
        }
        return result;
    }

    /// <summary>What runs a float node without ONNX Runtime; null where nothing does.</summary>
    private static PlanStep? OwnStep(QuantizedGraph graph, QuantizedNode node) => FunctionStep.Create(graph, node) ?? TransposedInput.Create(graph, node);
}
