using System.Collections.Concurrent;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime;

/// <summary>A run of nodes that are not ours, as a model of its own on ONNX Runtime.</summary>
internal sealed class FloatIsland : PlanStep
{
    private static readonly HashSet<string> Heavy = ["Conv", "ConvTranspose", "Gemm", "LSTM", "GRU", "RNN", "Einsum", "Attention", "Loop", "Scan", "If"];
    private readonly OnnxRuntimeSession session;
    // One for each run at the same time.
    private readonly ConcurrentBag<IslandBinding> bindings = [];
    private readonly (string Name, string OpType)[] nodes;

    /// <param name="model">The model that the nodes are from.</param>
    /// <param name="types">Types of its values.</param>
    /// <param name="nodes">The nodes, in running order.</param>
    /// <param name="isNeeded">Whether a value is used outside the island.</param>
    /// <param name="constant">The constant behind a value, or null: the model's own and what the plan computed beforehand.</param>
    /// <param name="settings">How to run it.</param>
    /// <param name="isAlone">Nothing else of the plan has work for more than one thread.</param>
    public FloatIsland(OnnxModel model, ValueTypes types, IReadOnlyList<NodeProto> nodes, Func<string, bool> isNeeded,
        Func<string, TensorProto?> constant, SessionSettings? settings, bool isAlone = false)
    {
        this.nodes = [.. nodes.Select(n => (GraphIndex.DisplayName(n), n.OpType))];
        HashSet<string> made = [.. nodes.SelectMany(n => n.Output).Where(o => o.Length > 0)];
        string[] taken = [.. nodes.SelectMany(GraphIndex.InputsOf).Distinct().Where(v => !made.Contains(v))];
        Inputs = [.. taken.Where(v => constant(v) is null && model.Graph.SparseConstant(v) is null)];
        Outputs = [.. made.Where(isNeeded)];

        ModelProto proto = new()
        {
            IrVersion = Math.Max(model.Proto.IrVersion, OnnxModel.FirstIrWithFreeInitializers),
            Graph = new GraphProto { Name = "island" },
        };
        proto.OpsetImport.AddRange(model.Proto.OpsetImport);
        proto.Functions.AddRange(model.Proto.Functions);
        proto.Graph.Node.AddRange(nodes);
        foreach (string name in taken)
        {
            if (constant(name) is not TensorProto value)
                continue;
            TensorProto t = value.Clone();
            t.Name = name;
            proto.Graph.Initializer.Add(t);
        }
        proto.Graph.SparseInitializer.AddRange(taken.Select(model.Graph.SparseConstant).OfType<SparseTensorProto>());
        proto.Graph.Input.AddRange(Inputs.Select(i => Describe(types[i] ?? new(i, DataType.Float, [], []))));
        proto.Graph.Output.AddRange(Outputs.Select(o => new ValueInfoProto { Name = o }));
        string where = $"{model.Name}, float part at {GraphIndex.DisplayName(nodes[0])}";
        session = new OnnxRuntimeSession(OnnxModel.FromProto(proto, where), settings: Settings(settings, nodes, isAlone));
    }

    public override IEnumerable<PlanLayer> Layers => nodes.Select(n => new PlanLayer(n.Name, n.OpType, () => "ONNX Runtime", IsInteger: false));

    public override string Description => $"{string.Join('+', nodes.Select(n => n.OpType))} {nodes[^1].Name} (ONNX Runtime)";

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override bool MakesNew => true;

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        if (!bindings.TryTake(out IslandBinding? binding))
            binding = new IslandBinding(session, Inputs, Outputs);
        // One that failed may be in any state.
        try
        {
            binding.Run(inputs, outputs);
        }
        catch
        {
            binding.Dispose();
            throw;
        }
        bindings.Add(binding);
    }

    public override void Dispose()
    {
        while (bindings.TryTake(out IslandBinding? binding))
            binding.Dispose();
        session.Dispose();
    }

    /// <summary>Only nodes of much arithmetic get threads, as waking them costs more than most nodes are worth. Where there is nothing else to do, they wait for their work in a loop; beside layers
    /// of ours they would be in the way: stopped between runs they still made a segmentation network take up to twice as long.</summary>
    private static SessionSettings Settings(SessionSettings? settings, IReadOnlyList<NodeProto> nodes, bool isAlone)
    {
        bool isHeavy = nodes.Any(n => Heavy.Contains(n.OpType));
        return (settings ?? new()) with { Spin = isHeavy && isAlone, IntraOpThreads = isHeavy ? settings?.IntraOpThreads ?? 0 : 1 };
    }

    private static ValueInfoProto Describe(Execution.ValueType type)
    {
        ValueInfoProto value = Nodes.Value(type.Name, type.ElementType, [.. type.Dims.Select((d, i) =>
            d >= 0 ? (object)d : type.Symbols.ElementAtOrDefault(i) is { Length: > 0 } s ? s : null)]);
        // No dimensions may mean a scalar or an unknown rank: leave it open.
        if (type.Rank == 0)
            value.Type.TensorType.Shape = null;
        return value;
    }
}
