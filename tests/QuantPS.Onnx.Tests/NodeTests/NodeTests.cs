using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.NodeTests;

/// <summary>Our runtime against the outputs that ONNX stores with its node tests: integers exactly, floats to the test suite's tolerance.</summary>
public class NodeTests
{
    /// <summary>onnx.backend.test's defaults: |actual - expected| at most Absolute + Relative * |expected|.</summary>
    private const double Relative = 1e-3, Absolute = 1e-7;

    /// <summary>One row for every node test; a single one, which skips, where they are not installed.</summary>
    public static TheoryData<string> Names => NodeTestData.Missing is null ? new(NodeTestData.Names()) : new("none");

    [Theory]
    [MemberData(nameof(Names))]
    public void StoredOutputs(string name)
    {
        if (NodeTestData.Missing is string reason)
            Assert.Skip(reason);
        OnnxModel model = NodeTestData.Model(name);
        using ModelPlan plan = new(model, fuse: false), fused = new(model);
        // Expanded ones have none of our operators left: they show that typed values pass through islands.
        Assert.Equal(model.Graph.Nodes.Count(n => IntegerOperatorRegistry.Find(n) is not null), plan.IntegerNodeCount);
        int sets = 0;
        foreach ((TensorProto[] inputs, TensorProto[] outputs) in NodeTestData.DataSets(name))
        {
            sets++;
            foreach (ModelPlan any in (ModelPlan[])[plan, fused])
            {
                any.RunValues(model.Graph.Inputs.Zip(inputs).ToDictionary(i => i.First.Name, i => OneNode.Value(i.Second)), values =>
                {
                    foreach ((ValueInfoProto output, TensorProto expected) in model.Graph.Outputs.Zip(outputs))
                        Check(expected, values(output.Name));
                    return 0;
                });
            }
        }
        Assert.NotEqual(0, sets);
    }

    /// <summary>A broken look-up of the tests would otherwise pass as an empty list.</summary>
    [Fact]
    public void EveryOperatorHasOne()
    {
        if (NodeTestData.Missing is string reason)
            Assert.Skip(reason);
        HashSet<string> seen = [.. NodeTestData.Names().SelectMany(n => NodeTestData.Model(n).Graph.Nodes).Select(n => n.OpType)];
        Assert.Superset(IntegerOperatorRegistry.OpTypes.ToHashSet(), seen);
    }

    private static void Check(TensorProto expected, GraphValue actual)
    {
        if (expected.Type() != DataType.Float)
        {
            Assert.Equal(expected.Type(), actual.Typed!.Type);
            Assert.Equal(expected.Shape(), actual.Typed.Shape);
            Assert.Equal(expected.ToLongs(), actual.Typed.ToInts().Select(v => (long)v));
            return;
        }
        Assert.Equal(expected.Shape(), actual.Real().Shape);
        Assert.All(expected.ToFloats().Zip(actual.Real().ToArray()), v => Assert.Equal(v.First, v.Second, Absolute + Relative * Math.Abs(v.First)));
    }
}
