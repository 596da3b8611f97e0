using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime;

/// <summary>A float part computes what ONNX Runtime computes, whatever shapes come in which order, and however large the values are.</summary>
public class IslandBindingTests
{
    /// <summary>Small values are copied, large ones used where they lie; shapes come back and go; integers go out. No sums and sines: their last bit in ONNX Runtime depends on where the values lie.</summary>
    [Fact]
    public void ShapesChange()
    {
        OnnxModel model = TestModels.Graph(["N", "C"],
            [
                Nodes.Create("Neg", "neg", ["x"], ["a"]), Nodes.Create("Relu", "relu", ["a"], ["b"]), Nodes.Create("QuantizeLinear", "q", ["b", "s", "z"], ["q"]),
                Nodes.Create("Transpose", "t", ["x"], ["c"]), Nodes.Create("Size", "size", ["x"], ["e"]), Nodes.Create("Cast", "c", ["e"], ["d"], Nodes.Attribute("to", (long)DataType.Float)),
            ], [TensorProtos.Create("s", [0.01f], []), OneNode.Integers(DataType.Uint8, [], 3).Typed!.ToProto("z")], ["a", "c", "d", "q"]);
        model.Proto.Graph.Output[3].Type.TensorType.ElemType = (int)DataType.Uint8;
        using OnnxRuntimeSession session = new(model);
        ReadsTheSame(model, session, ["x"], ["a", "c", "d", "q"],
            [[1, 3], [1, 3], [2, 5], [2, 5], [1, 3], [130, 150], [130, 150], [130, 151], [1, 1], [0, 4], [0, 4], [2, 0], [1, 3], [16384, 1], [16385, 1], [1, 16384]]);
    }

    /// <summary>An output whose shape follows from values: ONNX Runtime refuses the shape that it had before, and is asked from then on.</summary>
    [Fact]
    public void ShapesFollowFromValues()
    {
        OnnxModel model = TestModels.Graph(["N"], [Nodes.Create("NonZero", "n", ["x"], ["at"]), Nodes.Create("Cast", "c", ["at"], ["y"], Nodes.Attribute("to", (long)DataType.Float))], [], ["y"]);
        using OnnxRuntimeSession session = new(model);
        using IslandBinding binding = new(session, ["x"], ["y"]);
        foreach (float[] x in (float[][])[[1, 0, 2], [1, 0, 2], [0, 0, 2], [1, 1, 1], [0, 0, 0], [0, 5, 0]])
        {
            var results = new GraphValue?[1];
            binding.Run([new GraphValue(new Tensor([3], x))], results);
            Assert.Equal(Enumerable.Range(0, 3).Where(i => x[i] != 0).Select(i => (float)i), results[0]!.Real().ToArray());
        }
    }

    /// <summary>What only ONNX Runtime understands goes in and comes out.</summary>
    [Fact]
    public void OtherTypes()
    {
        OnnxModel model = TestModels.Graph(["N"], [Nodes.Create("Cast", "wide", ["x"], ["w"], Nodes.Attribute("to", (long)DataType.Int64)), Nodes.Create("Add", "add", ["w", "w"], ["y"])], [], ["w", "y"]);
        foreach (ValueInfoProto output in model.Proto.Graph.Output)
            output.Type.TensorType.ElemType = (int)DataType.Int64;
        using OnnxRuntimeSession session = new(model);
        using IslandBinding binding = new(session, ["x"], ["w", "y"]);
        for (int run = 1; run < 4; run++)
        {
            var results = new GraphValue?[2];
            binding.Run([new GraphValue(new Tensor([2], new float[] { run, -run }))], results);
            Assert.Equal([2L * run, -2L * run], results[1]!.Native!.GetTensorDataAsSpan<long>().ToArray());
            results[0]!.Dispose();
            results[1]!.Dispose();
        }
    }

    /// <summary>Results are the caller's: a later run does not write over them. Runs at the same time have a binding each.</summary>
    [Fact]
    public void ResultsAreTheCallers()
    {
        OnnxModel model = TestModels.Graph(["N", 4], [Nodes.Create("Neg", "neg", ["x"], ["a"]), Nodes.Create("QuantizeLinear", "q", ["a", "s"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "s"], ["y"])],
            [TensorProtos.Create("s", [1f / 128], [])], ["y", "a"]);
        using ModelPlan plan = new(model);
        Assert.Equal(1, plan.FloatIslandCount);
        Tensor[] inputs = [.. Enumerable.Range(0, 16).Select(i => TestModels.Random(i, 1 + i % 3, 4))];
        float[][] expected = [.. inputs.Select(x => ((Tensor)plan.Run(x)["a"]).ToArray())];
        Tensor first = (Tensor)plan.Run(inputs[0])["a"];
        Parallel.For(0, 200, i => Assert.Equal(expected[i % 16], ((Tensor)plan.Run(inputs[i % 16])["a"]).ToArray()));
        Assert.Equal(expected[0], first.ToArray());
        Assert.All(inputs.Zip(expected), p => Assert.Equal(p.First.ToArray().Select(v => -v), p.Second));
    }

    /// <summary>What ONNX Runtime says of a run that fails is in the error, also where shapes were known.</summary>
    [Fact]
    public void FailuresAreTold()
    {
        OnnxModel model = TestModels.Graph(["N"], [Nodes.Create("Cast", "c", ["x"], ["i"], Nodes.Attribute("to", (long)DataType.Int64)), Nodes.Create("Gather", "g", ["table", "i"], ["y"])],
            [TensorProtos.Create("table", [1f, 2, 3], [3])], ["y"]);
        using OnnxRuntimeSession session = new(model);
        using IslandBinding binding = new(session, ["x"], ["y"]);
        var results = new GraphValue?[1];
        for (int run = 0; run < 2; run++)
            binding.Run([new GraphValue(new Tensor([1], new float[] { 2 }))], results);
        QuantException e = Assert.Throws<QuantException>(() => binding.Run([new GraphValue(new Tensor([1], new float[] { 7 }))], results));
        Assert.Equal(ErrorIds.InferenceFailed, e.ErrorId);
        Assert.Contains("out of data bounds", e.Message);
    }

    private static void ReadsTheSame(OnnxModel model, OnnxRuntimeSession session, string[] inputs, string[] outputs, int[][] shapes)
    {
        using IslandBinding binding = new(session, inputs, outputs);
        for (int run = 0; run < shapes.Length; run++)
        {
            Tensor x = TestModels.Random(run, shapes[run]);
            IReadOnlyDictionary<string, object> expected = session.RunAnyType(new ModelSample(x), model);
            var results = new GraphValue?[outputs.Length];
            binding.Run([new GraphValue(x)], results);
            for (int o = 0; o < outputs.Length; o++)
            {
                object actual = OutputValues.ToObject(results[o]!, model, outputs[o], null);
                if (expected[outputs[o]] is Tensor floats)
                    Assert.Equal((string.Join(",", floats.Shape), string.Join(",", floats.ToArray())), (string.Join(",", ((Tensor)actual).Shape), string.Join(",", ((Tensor)actual).ToArray())));
                else
                    Assert.Equal(((QuantizedTensor)expected[outputs[o]]).IntRepr(), ((QuantizedTensor)actual).IntRepr());
            }
        }
    }
}
