using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace QuantPS.Onnx.Runtime;

/// <summary>A run of float nodes, as a model of its own on ONNX Runtime.</summary>
internal sealed class FloatIsland : PlanStep
{
    private readonly OnnxRuntimeSession session;

    /// <param name="graph">The graph.</param>
    /// <param name="nodes">The nodes, in running order.</param>
    /// <param name="isNeeded">Whether a value is used outside the island.</param>
    /// <param name="settings">How to run it.</param>
    public FloatIsland(QuantizedGraph graph, IReadOnlyList<NodeProto> nodes, Func<string, bool> isNeeded, SessionSettings? settings)
    {
        OnnxModel model = graph.Float;
        HashSet<string> made = [.. nodes.SelectMany(n => n.Output).Where(o => o.Length > 0)];
        string[] taken = [.. nodes.SelectMany(GraphIndex.InputsOf).Distinct().Where(v => !made.Contains(v))];
        Inputs = [.. taken.Where(v => model.Graph.Constant(v) is null && model.Graph.SparseConstant(v) is null)];
        Outputs = [.. made.Where(isNeeded)];

        ModelProto proto = new() { IrVersion = Math.Max(model.Proto.IrVersion, OnnxModel.FirstIrWithFreeInitializers), Graph = new GraphProto { Name = "island" } };
        proto.OpsetImport.AddRange(model.Proto.OpsetImport);
        proto.Functions.AddRange(model.Proto.Functions);
        proto.Graph.Node.AddRange(nodes);
        foreach (string constant in taken.Where(v => model.Graph.Constant(v) is not null))
        {
            TensorProto t = model.Graph.Constant(constant)!.Clone();
            t.Name = constant;
            proto.Graph.Initializer.Add(t);
        }
        proto.Graph.SparseInitializer.AddRange(taken.Select(model.Graph.SparseConstant).OfType<SparseTensorProto>());
        proto.Graph.Input.AddRange(Inputs.Select(i => Describe(graph.Plan.Types[i] ?? new(i, DataType.Float, [], []))));
        proto.Graph.Output.AddRange(Outputs.Select(o => new ValueInfoProto { Name = o }));
        session = new OnnxRuntimeSession(OnnxModel.FromProto(proto, $"{graph.Name}, float part at {GraphIndex.DisplayName(nodes[0])}"), settings: settings);
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override void Run(Dictionary<string, GraphValue> values)
    {
        List<OrtValue> given = [], own = [];
        try
        {
            foreach (string input in Inputs)
            {
                GraphValue value = values[input];
                if (value.Native is null)
                    own.Add(OnnxRuntimeSession.ToOrt(value.Real()));
                given.Add(value.Native ?? own[^1]);
            }
            // Not disposed as a collection: that would free the values that stay.
            foreach ((string name, OrtValue result) in Outputs.Zip(session.RunValues(Inputs, given, Outputs)))
                values[name] = ToValue(result, name);
        }
        finally
        {
            own.ForEach(v => v.Dispose());
        }
    }

    public override void Dispose() => session.Dispose();

    private static ValueInfoProto Describe(Execution.ValueType type)
    {
        ValueInfoProto value = Nodes.Value(type.Name, type.ElementType, [.. type.Dims.Select((d, i) => d >= 0 ? (object)d : type.Symbols.ElementAtOrDefault(i) is { Length: > 0 } s ? s : null)]);
        // No dimensions may mean a scalar or an unknown rank: leave it open.
        if (type.Rank == 0)
            value.Type.TensorType.Shape = null;
        return value;
    }

    private static GraphValue ToValue(OrtValue result, string name)
    {
        if (!result.IsTensor || result.GetTensorTypeAndShape().ElementDataType != TensorElementType.Float)
            return new GraphValue(result);
        using (result)
        {
            ReadOnlySpan<float> data = result.GetTensorDataAsSpan<float>();
            Tensor t = new(OnnxRuntimeSession.ShapeOf(result), new AlignedBuffer<float>(data.Length).Memory) { Name = name };
            data.CopyTo(t.Span);
            return new GraphValue(t);
        }
    }
}
