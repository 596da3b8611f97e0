using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized graph made ready to run: int8 nodes by this module's engine, runs of float nodes by ONNX Runtime.</summary>
/// <remarks>Made once, run many times, from several threads if need be. Values are dropped as soon as nothing needs them. Integer results do
/// not depend on the batch size.</remarks>
public sealed class Int8Plan : IDisposable
{
    private readonly QuantizedGraph graph;
    private readonly List<PlanStep> steps = [];
    private readonly Dictionary<string, int> lastUse = new(StringComparer.Ordinal);

    /// <param name="graph">The quantized graph.</param>
    /// <param name="settings">How to run its float parts.</param>
    /// <exception cref="QuantException">InvalidModel, UnsupportedOperator: ONNX Runtime refuses a float part.</exception>
    public Int8Plan(QuantizedGraph graph, SessionSettings? settings = null)
    {
        this.graph = graph;
        Schedule(settings);
        for (int i = 0; i < steps.Count; i++)
        {
            foreach (string value in steps[i].Inputs.Concat(steps[i].Outputs))
                lastUse[value] = i;
        }
        foreach (ValueInfoProto output in graph.Float.Graph.Outputs)
            lastUse[output.Name] = int.MaxValue;
    }

    /// <summary>What the model takes.</summary>
    public ModelInputs Inputs => graph.Plan.Types.Inputs;

    /// <summary>How many runs of float nodes there are.</summary>
    public int FloatIslandCount => steps.Count(s => s is FloatIsland);

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
        Dictionary<string, GraphValue> values = new(StringComparer.Ordinal);
        Dictionary<string, QuantizedTensor> integers = new(StringComparer.Ordinal);
        Dictionary<string, Tensor> captured = new(StringComparer.Ordinal);
        try
        {
            foreach ((string name, Tensor tensor) in inputs)
            {
                values[name] = new GraphValue(tensor);
                Capture(name);
            }
            for (int i = 0; i < steps.Count; i++)
            {
                steps[i].Run(values);
                foreach (string output in steps[i].Outputs)
                    Capture(output);
                foreach (string value in steps[i].Inputs.Concat(steps[i].Outputs))
                {
                    if (lastUse[value] == i && values.Remove(value, out GraphValue? done))
                        done.Dispose();
                }
            }
            return new PlanResult(graph.Float.Graph.Outputs.ToDictionary(o => o.Name, o => Output(o.Name)), integers, captured);
        }
        finally
        {
            foreach (GraphValue value in values.Values)
                value.Dispose();
        }

        void Capture(string name)
        {
            if (capture is null || !capture.Contains(name) || values[name].Native is not null)
                return;
            GraphValue value = values[name];
            if (value.HasIntegers)
                integers[name] = value.Integers(graph.QParamsOf(name)!, graph.OnnxRule);
            captured[name] = value.Real();
        }

        Tensor Output(string name)
        {
            TensorProto? constant = graph.Float.Graph.Constant(name);
            if (constant is null && values[name].Native is not null)
                throw new QuantException(ErrorIds.UnsupportedDType, $"The output '{name}' is not a float32 tensor.", name);
            Tensor t = constant?.ToTensor() ?? values[name].Real();
            return new Tensor(t.Shape, t.Memory) { Name = name, Source = source };
        }
    }

    public void Dispose() => steps.ForEach(s => s.Dispose());

    /// <summary>Orders the nodes so that float nodes come in runs as long as possible: all int8 nodes that are ready, then all float nodes, in turn.</summary>
    private void Schedule(SessionSettings? settings)
    {
        GraphIndex index = graph.Float.Graph;
        HashSet<string> available = [.. index.Inputs.Select(i => i.Name)];
        LinkedList<QuantizedNode> waiting = new(graph.Nodes);
        while (waiting.Count > 0)
        {
            foreach (bool quantized in (bool[])[true, false])
            {
                List<QuantizedNode> group = [];
                // One pass is enough: the nodes are in running order.
                for (LinkedListNode<QuantizedNode>? at = waiting.First, next; at is not null; at = next)
                {
                    next = at.Next;
                    QuantizedNode node = at.Value;
                    if (node.IsQuantized != quantized || !GraphIndex.InputsOf(node.Planned.Node).All(v => available.Contains(v) || index.Constant(v) is not null || index.SparseConstant(v) is not null))
                        continue;
                    group.Add(node);
                    available.UnionWith(node.Planned.Node.Output);
                    available.Add(node.Planned.Output);
                    waiting.Remove(at);
                }
                Add(group);
            }
        }

        void Add(List<QuantizedNode> group)
        {
            if (group.Count == 0)
                return;
            if (group[0].IsQuantized)
            {
                steps.AddRange(group.Select(n => new QuantizedStep(graph, n)));
                return;
            }
            HashSet<NodeProto> own = new(group.Select(n => n.Planned.Node), ReferenceEqualityComparer.Instance);
            steps.Add(new FloatIsland(graph, [.. group.Select(n => n.Planned.Node)], v => index.IsOutput(v) || index.Consumers(v).Any(c => !own.Contains(c)), settings));
        }
    }
}
