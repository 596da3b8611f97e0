using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using QuantPS.Onnx.Runtime.Fusion;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>Files that came quantized, made layers again.</summary>
public class FusionTests
{
    /// <summary>Whole networks in both forms: no step but layers between the first QuantizeLinear and the last DequantizeLinear, no part in float, and what
    /// ONNX Runtime's own fused kernels give.</summary>
    [Theory]
    [InlineData("fmnist-resnet8-bn", "onnxruntime", true)]
    [InlineData("fmnist-resnet8-bn", "onnxruntime", false)]
    [InlineData("fmnist-resnet8-bn", "x86", true)]
    [InlineData("fmnist-resnet8-bn", "x86", false)]
    [InlineData("fmnist-mobile-bn", "onnxruntime", true)]
    [InlineData("fmnist-mobile-bn", "x86", true)]
    public void NetworksAreLayersThroughout(string network, string preset, bool pairs)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), QConfigPresets.Get(preset), 32));
        OnnxModel file = pairs ? QdqExporter.Export(graph).Model : QOperatorExporter.Export(graph).Model;
        using ModelPlan plan = new(file);
        Assert.Equal(0, plan.FloatIslandCount);
        Assert.IsType<QuantizeStep>(plan.Steps.First());
        Assert.IsType<DequantizeStep>(plan.Steps.Last());
        PlanStep[] layers = [.. plan.Steps.Skip(1).SkipLast(1).SelectMany(s => s is ResidualStep both ? (PlanStep[])[both.Conv, both.Add] : [s])];
        Assert.All(layers, s => Assert.IsType<UnitStep>(s));
        Assert.Equal(graph.Nodes.Count(n => n.Layer is not null), layers.OfType<UnitStep>().Count(s => s.Layer is not null));
        // Every sum of these networks ends a residual block.
        Assert.Equal(graph.Nodes.Count(n => n.Planned.Node.OpType == "Add"), plan.Steps.Count(s => s is ResidualStep));
        Assert.NotEmpty(plan.Steps.OfType<ResidualStep>());
        using OnnxRuntimeSession session = new(file);
        QParams output = graph.QParamsOf(graph.Float.Graph.Outputs[0].Name)!;
        int differ = 0, all = 0;
        foreach (Tensor batch in TestData.Batches(TestData.TestImages, 50).Take(4))
        {
            float[] theirs = session.Run(batch).Values.Single().ToArray(), ours = ((Tensor)plan.Run(batch).Values.Single()).ToArray();
            int[] steps = [.. theirs.Zip(ours, (a, b) => (int)Math.Round(Math.Abs(a - b) / output.Scales[0]))];
            // A tie that falls otherwise in HardSwish may move an integer behind it.
            Assert.All(steps, s => Assert.InRange(s, 0, 1));
            differ += steps.Count(s => s > 0);
            all += steps.Length;
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{differ} of {all} outputs differ from ONNX Runtime's");
        Assert.InRange(differ, 0, all / 1000);
    }

    /// <summary>Concurrent runs and varying batches share nothing that matters.</summary>
    [Fact]
    public void RunsFromAnyThreadAndWithAnyBatch()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network("fmnist-mobile-bn"), QConfigPresets.Get("onnxruntime"), 32));
        using ModelPlan plan = new(QdqExporter.Export(graph).Model);
        Tensor[] batches = [.. TestData.Batches(TestData.TestImages, 7).Take(6), .. TestData.Batches(TestData.TestImages, 1).Take(6)];
        float[][] expected = [.. batches.Select(b => ((Tensor)plan.Run(b).Values.Single()).ToArray())], actual = new float[batches.Length][];
        Parallel.For(0, batches.Length, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => actual[i] = ((Tensor)plan.Run(batches[i]).Values.Single()).ToArray());
        Assert.Equal(expected, actual);
    }

    /// <summary>Files of other tools: weights of either type and any zero point, scales per channel, a bias with steps of its own, float or none, a Relu or
    /// Clip before QuantizeLinear, a Clip behind it, of integers or before another, QuantizeLinear with other parameters behind a MaxPool. Against the same file node by node.</summary>
    [Fact]
    public void ForeignConvolutions()
    {
        Random random = new(31);
        int layers = 0, different = 0, all = 0;
        for (int i = 0; i < 60; i++)
        {
            OnnxModel model = Foreign(random, i);
            using ModelPlan plan = new(model), single = new(model, fuse: false);
            UnitStep[] units = [.. plan.Steps.OfType<UnitStep>()];
            layers += units.Length;
            Assert.Equal(2, units.Length);
            Assert.Equal(0, plan.FloatIslandCount);
            Tensor x = TestModels.Random(i, 2, 3, 9, 8);
            QuantizedTensor expected = (QuantizedTensor)single.Run(x)["y"], actual = (QuantizedTensor)plan.Run(x)["y"];
            Assert.Equal(expected.Shape, actual.Shape);
            Assert.Equal(expected.QParams.Scales[0], actual.QParams.Scales[0]);
            for (int k = 0; k < expected.Length; k++)
            {
                Assert.InRange(Math.Abs(expected.GetInteger(k) - actual.GetInteger(k)), 0, 1);
                different += expected.GetInteger(k) == actual.GetInteger(k) ? 0 : 1;
            }
            all += expected.Length;
        }
        Assert.Equal(120, layers);
        // Float32 sums of the standard against exact ones.
        Assert.InRange(different, 0, all / 500);
    }

    /// <summary>Element-wise nodes with nothing rounded between are one table, with constants per channel one a channel; against the file node by node.</summary>
    [Fact]
    public void ChainsAreTables()
    {
        OnnxModel model = Model(
            [
                Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]),
                Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
                Nodes.Create("Mul", "by", ["h", "each"], ["a"]),
                Nodes.Create("HardSwish", "swish", ["a"], ["b"]),
                Nodes.Create("Add", "plus", ["b", "each"], ["c"]),
                Nodes.Create("QuantizeLinear", "q2", ["c", "t", "z"], ["y"]),
            ],
            [TensorProtos.Create("s", [0.05f], []), TensorProtos.Create("t", [0.07f], []), OneNode.Integers(DataType.Uint8, [], 60).Typed!.ToProto("z"),
                TensorProtos.Create("each", [0.5f, 2f, -1.25f], [1, 3, 1, 1])], ["y"], DataType.Uint8);
        using ModelPlan plan = new(model), single = new(model, fuse: false);
        Assert.Equal(["QuantizeStep", "UnitStep"], plan.Steps.Select(s => s.GetType().Name));
        Tensor x = TestModels.Random(3, 2, 3, 9, 7);
        QuantizedTensor expected = (QuantizedTensor)single.Run(x)["y"], actual = (QuantizedTensor)plan.Run(x)["y"];
        Assert.True(expected.IntRepr().Cast<byte>().Distinct().Count() > 20);
        Assert.Equal(expected.IntRepr(), actual.IntRepr());
    }

    /// <summary>An operand with a scale per channel has no single meaning, which the kernels of pairs want.</summary>
    [Fact]
    public void OperandsWithScalesPerChannelAreNoLayers()
    {
        OnnxModel model = Model(
            [
                Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]),
                Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
                Nodes.Create("DequantizeLinear", "dc", ["c", "cs"], ["e"], Nodes.Attribute("axis", 1L)),
                Nodes.Create("Mul", "by", ["h", "e"], ["m"]),
                Nodes.Create("QuantizeLinear", "q2", ["m", "s", "z"], ["y"]),
            ],
            [TensorProtos.Create("s", [0.05f], []), OneNode.Integers(DataType.Uint8, [], 60).Typed!.ToProto("z"),
                OneNode.Integers(DataType.Uint8, [1, 3, 1, 1], 20, 200, 90).Typed!.ToProto("c"), TensorProtos.Create("cs", [0.02f, 0.01f, 0.005f], [3])], ["y"], DataType.Uint8);
        using ModelPlan plan = new(model), single = new(model, fuse: false);
        Assert.DoesNotContain(plan.Steps, s => s is UnitStep);
        Tensor x = TestModels.Random(3, 2, 3, 9, 7);
        Assert.Equal(((QuantizedTensor)single.Run(x)["y"]).IntRepr(), ((QuantizedTensor)plan.Run(x)["y"]).IntRepr());
    }

    /// <summary>What looks like a layer and is none: the value between is needed elsewhere, is an output, or has computed parameters.</summary>
    [Theory]
    [InlineData("elsewhere")]
    [InlineData("output")]
    [InlineData("computed")]
    [InlineData("wide")]
    public void NotALayer(string why)
    {
        TensorProto zero = OneNode.Integers(why == "wide" ? DataType.Uint16 : DataType.Uint8, [], 7).Typed!.ToProto("z");
        List<NodeProto> nodes =
        [
            Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]),
            Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
            Nodes.Create("Conv", "c", ["h", "wd"], ["f"]),
            Nodes.Create("DequantizeLinear", "w", ["w", "s"], ["wd"]),
            Nodes.Create("QuantizeLinear", "q2", ["f", why == "computed" ? "max" : "s", "z"], ["r"]),
            Nodes.Create("DequantizeLinear", "d2", ["r", why == "computed" ? "max" : "s", "z"], ["y"]),
        ];
        if (why == "elsewhere")
            nodes.Add(Nodes.Create("Neg", "n", ["f"], ["other"]));
        if (why == "computed")
            nodes.Add(Nodes.Create("ReduceMax", "m", ["x"], ["max"], Nodes.Attribute("keepdims", 0L)));
        OnnxModel model = Model(nodes, [TensorProtos.Create("s", [0.05f], []), zero, RandomIntegers(new Random(1), DataType.Int8, 4, 3, 3, 3).ToProto("w")],
            why == "elsewhere" ? ["y", "other"] : why == "output" ? ["y", "f"] : ["y"], DataType.Float);
        using ModelPlan plan = new(model), single = new(model, fuse: false);
        Assert.DoesNotContain(plan.Steps, s => s is UnitStep);
        Tensor x = TestModels.Random(3, 1, 3, 6, 6);
        Assert.Equal(((Tensor)single.Run(x)["y"]).ToArray(), ((Tensor)plan.Run(x)["y"]).ToArray());
    }

    private static OnnxModel Foreign(Random random, int index)
    {
        DataType weights = index % 2 == 0 ? DataType.Int8 : DataType.Uint8, activations = index / 2 % 2 == 0 ? DataType.Uint8 : DataType.Int8;
        bool perChannel = index % 3 == 0, pool = index % 5 == 0;
        string bias = (string[])["none", "steps", "own", "float"] is var kinds ? kinds[index % 4] : "";
        string activation = ((string[])["", "Relu", "Clip", "Clip of pairs", "Clip of integers"])[index / 3 % 5];
        float inputScale = 0.02f + random.NextSingle() * 0.01f, scale = 0.03f + random.NextSingle() * 0.02f;
        float[] weightScales = [.. Enumerable.Range(0, perChannel ? 5 : 1).Select(_ => 0.001f + random.NextSingle() * 0.004f)];
        int Zero(DataType t) => random.Next(100, 150) - (t == DataType.Int8 ? 128 : 0);
        int[] weightZeros = [.. weightScales.Select(_ => Zero(weights))];
        List<TensorProto> constants =
        [
            TensorProtos.Create("s", [inputScale], []), OneNode.Integers(activations, [], Zero(activations)).Typed!.ToProto("z"),
            TensorProtos.Create("t", [scale], []), OneNode.Integers(activations, [], Zero(activations)).Typed!.ToProto("u"),
            TensorProtos.Create("t2", [pool ? scale * 1.3f : scale], []),
            TensorProtos.Create("ws", weightScales, perChannel ? [5] : []), OneNode.Integers(weights, perChannel ? [5] : [], weightZeros).Typed!.ToProto("wz"),
            RandomIntegers(random, weights, 5, 3, 3, 3).ToProto("w"), TensorProtos.Create("six", [3f], []), TensorProtos.Create("zero", [0f], []),
        ];
        List<NodeProto> nodes =
        [
            Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]),
            Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
            Nodes.Create("DequantizeLinear", "dw", ["w", "ws", "wz"], ["wd"], perChannel ? [Nodes.Attribute("axis", 0L)] : []),
        ];
        if (bias is "steps" or "own")
        {
            float[] steps = bias == "own" ? [0.0003f] : [.. weightScales.Select(w => inputScale * w)];
            constants.Add(TensorProtos.Create("bs", steps, steps.Length > 1 ? [5] : []));
            constants.Add(TensorProtos.Create("b", [.. Enumerable.Range(0, 5).Select(_ => random.Next(-3000, 3000))], [5]));
            nodes.Add(Nodes.Create("DequantizeLinear", "db", ["b", "bs"], ["bd"], steps.Length > 1 ? [Nodes.Attribute("axis", 0L)] : []));
        }
        else if (bias == "float")
            constants.Add(TensorProtos.Create("bd", [.. Enumerable.Range(0, 5).Select(_ => random.NextSingle() - 0.5f)], [5]));
        nodes.Add(Nodes.Create("Conv", "c", bias == "none" ? ["h", "wd"] : ["h", "wd", "bd"], ["f"], Nodes.Attribute("pads", [1, 0, 1, 2])));
        if (activation == "Clip of pairs")
        {
            nodes.Add(Nodes.Create("QuantizeLinear", "qa", ["f", "t", "u"], ["fq"]));
            nodes.Add(Nodes.Create("DequantizeLinear", "da", ["fq", "t", "u"], ["fd"]));
            nodes.Add(Nodes.Create("Clip", "a", ["fd", "zero", "six"], ["g"]));
        }
        else if (activation is "Relu" or "Clip")
            nodes.Add(Nodes.Create(activation, "a", activation == "Clip" ? ["f", "zero", "six"] : ["f"], ["g"]));
        bool clipsIntegers = activation == "Clip of integers";
        nodes.Add(Nodes.Create("QuantizeLinear", "q2", [activation.Length > 0 && !clipsIntegers ? "g" : "f", "t", "u"], [clipsIntegers ? "fq" : "r"]));
        if (clipsIntegers)
        {
            int low = random.Next(-60, 20), shift = activations == DataType.Int8 ? 0 : 128;
            constants.Add(OneNode.Integers(activations, [], low + shift).Typed!.ToProto("low"));
            constants.Add(OneNode.Integers(activations, [], low + shift + 70).Typed!.ToProto("high"));
            nodes.Add(Nodes.Create("Clip", "a", ["fq", "low", "high"], ["r"]));
        }
        nodes.Add(Nodes.Create("DequantizeLinear", "d2", ["r", "t", "u"], ["k"]));
        nodes.Add(Nodes.Create("MaxPool", "p", ["k"], ["l"], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [2, 1]), Nodes.Attribute("pads", [0, 1, 1, 0])));
        nodes.Add(Nodes.Create("QuantizeLinear", "q3", ["l", "t2", "u"], ["y"]));
        return Model(nodes, constants, ["y"], activations);
    }

    private static IntegerTensor RandomIntegers(Random random, DataType type, params int[] shape)
    {
        IntegerTensor t = IntegerTensor.Allocate(type, shape);
        random.NextBytes(t.Memory.Span);
        return t;
    }

    private static OnnxModel Model(IEnumerable<NodeProto> nodes, IEnumerable<TensorProto> constants, string[] outputs, DataType type)
    {
        GraphProto graph = new() { Name = "foreign" };
        graph.Node.AddRange(nodes);
        graph.Initializer.AddRange(constants);
        graph.Input.Add(Nodes.Value("x", DataType.Float, "N", 3, "H", "W"));
        graph.Output.AddRange(outputs.Select(o => Nodes.Value(o, type, "N", "C", "H2", "W2")));
        ModelProto proto = new() { IrVersion = 10, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = 21 });
        return OnnxModel.FromProto(proto, "foreign");
    }
}
