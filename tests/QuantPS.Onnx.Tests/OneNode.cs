using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Tests;

/// <summary>A model with a single node, in our runtime and in ONNX Runtime side by side.</summary>
internal sealed class OneNode : IDisposable
{
    private readonly OnnxModel model;
    private readonly OnnxRuntimeSession? session;
    private readonly ModelPlan plan;

    /// <param name="opType">The operator.</param>
    /// <param name="inputs">Element type and rank of each input; null where it is left out.</param>
    /// <param name="outputs">Element type of each output.</param>
    /// <param name="opset">Version of the operator set.</param>
    /// <param name="oracle">Whether ONNX Runtime runs it too.</param>
    /// <param name="attributes">The node's attributes.</param>
    public OneNode(string opType, (DataType Type, int Rank)?[] inputs, DataType[] outputs, int opset = 21, bool oracle = true,
        params AttributeProto[] attributes)
        : this([Nodes.Create(opType, "node", inputs.Select((x, i) => x is null ? "" : $"in{i}"), outputs.Select((_, i) => $"out{i}"), attributes)],
            inputs, outputs, [], opset, oracle)
    {
    }

    /// <summary>Several nodes of ours: inputs "in0" and so on, outputs "out0" and so on.</summary>
    public OneNode(NodeProto[] nodes, (DataType Type, int Rank)?[] inputs, DataType[] outputs, TensorProto[] constants, int opset = 21,
        bool oracle = true)
    {
        GraphProto graph = new() { Name = "one" };
        graph.Node.AddRange(nodes);
        graph.Initializer.AddRange(constants);
        for (int i = 0; i < inputs.Length; i++)
        {
            if (inputs[i] is var (type, rank))
                graph.Input.Add(Nodes.Value($"in{i}", type, [.. Enumerable.Range(0, rank).Select(d => $"d{i}{d}")]));
        }
        graph.Output.AddRange(outputs.Select((o, i) => new ValueInfoProto { Name = $"out{i}",
            Type = new() { TensorType = new() { ElemType = (int)o } } }));
        ModelProto proto = new() { IrVersion = 10, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
        model = OnnxModel.FromProto(proto, "one");
        plan = new ModelPlan(model);
        Assert.Equal((nodes.Length, 0), (plan.IntegerNodeCount, plan.FloatIslandCount));
        if (oracle)
            session = new OnnxRuntimeSession(model, settings: new SessionSettings { IntraOpThreads = 1, Optimize = false });
    }

    public static GraphValue Value(TensorProto tensor) =>
        tensor.Type() == DataType.Float ? new GraphValue(tensor.ToTensor()) : new GraphValue(IntegerTensor.FromProto(tensor));

    public static GraphValue Floats(int[] shape, params float[] values) => new(new Tensor(shape, values));

    public static GraphValue Integers(DataType type, int[] shape, params int[] values)
    {
        IntegerTensor t = IntegerTensor.Allocate(type, shape);
        for (int i = 0; i < values.Length; i++)
            t[i] = values[i];
        return new GraphValue(t);
    }

    /// <summary>Our outputs.</summary>
    public GraphValue[] Run(params GraphValue?[] inputs) =>
        plan.RunValues(Named(inputs), values => model.Graph.Outputs.Select(o => values(o.Name)).ToArray());

    /// <summary>ONNX Runtime's outputs.</summary>
    public GraphValue[] RunOracle(params GraphValue?[] inputs)
    {
        Dictionary<string, GraphValue> named = Named(inputs);
        List<OrtValue> owned = [];
        try
        {
            OrtValue[] given = [.. named.Values.Select(v => v.ToOrt(owned))];
            string[] names = [.. model.Graph.Outputs.Select(o => o.Name)];
            using IDisposableReadOnlyCollection<OrtValue> results = session!.RunValues(named.Keys, given, names);
            return [.. results.Select((r, i) => GraphValue.View(r, names[i]))];
        }
        finally
        {
            owned.ForEach(v => v.Dispose());
        }
    }

    /// <summary>Fails unless both give the same bits. Gives the number of elements that were compared.</summary>
    public int Compare(params GraphValue?[] inputs)
    {
        int count = 0;
        foreach ((GraphValue expected, GraphValue actual) in RunOracle(inputs).Zip(Run(inputs)))
        {
            if (expected.Typed is { } integers)
            {
                Assert.Equal(integers.Type, actual.Typed!.Type);
                Assert.Equal(integers.Shape, actual.Typed.Shape);
                if (!integers.Memory.Span.SequenceEqual(actual.Typed.Memory.Span))
                    Assert.Equal(integers.ToInts(), actual.Typed.ToInts());
                count += integers.Length;
                continue;
            }
            Assert.Equal(expected.Real().Shape, actual.Real().Shape);
            Assert.Equal(Bits(expected), Bits(actual));
            count += expected.Real().Length;
        }
        return count;

        // Any NaN is as good as another.
        static int[] Bits(GraphValue v) => Array.ConvertAll(v.Real().ToArray(), f => float.IsNaN(f) ? -1 : BitConverter.SingleToInt32Bits(f));
    }

    public void Dispose()
    {
        plan.Dispose();
        session?.Dispose();
    }

    private static Dictionary<string, GraphValue> Named(GraphValue?[] inputs) =>
        inputs.Select((v, i) => (Name: $"in{i}", Value: v)).Where(v => v.Value is not null).ToDictionary(v => v.Name, v => v.Value!);
}
