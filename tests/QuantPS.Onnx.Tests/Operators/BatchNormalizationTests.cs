using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using QuantPS.Onnx.Tests.Passes;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators;

/// <summary>Normalizations that no convolution takes in: a table per channel, against ONNX Runtime.</summary>
public class BatchNormalizationTests
{
    /// <summary>A file's pairs around it, and around what limits it, are one layer. Every integer of every channel becomes what ONNX Runtime makes of it.</summary>
    [Theory]
    [InlineData(DataType.Uint8, "")]
    [InlineData(DataType.Int8, "")]
    [InlineData(DataType.Uint8, "Relu")]
    [InlineData(DataType.Int8, "Relu")]
    [InlineData(DataType.Uint8, "Clip")]
    public void EveryIntegerIsOnnxRuntimes(DataType type, string limit)
    {
        int zero = type == DataType.Uint8 ? 120 : -8, least = type == DataType.Uint8 ? 0 : -128;
        NodeProto[] behind = limit.Length == 0 ? [] : [Nodes.Create(limit, "l", limit == "Clip" ? ["f", "low", "high"] : ["f"], ["g"])];
        OnnxModel model = TestModels.Graph(["N", 3, 16, 16],
            [
                Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
                Nodes.Create("BatchNormalization", "bn", ["h", "gamma", "beta", "mean", "var"], ["f"], Nodes.Attribute("epsilon", 1e-3f)), .. behind,
                Nodes.Create("QuantizeLinear", "q2", [limit.Length == 0 ? "f" : "g", "t", "z"], ["r"]), Nodes.Create("DequantizeLinear", "d2", ["r", "t", "z"], ["y"]),
            ],
            [
                TensorProtos.Create("gamma", [0.8f, -1.3f, 0.31f], [3]), TensorProtos.Create("beta", [0.1f, 0.45f, -0.7f], [3]),
                TensorProtos.Create("mean", [0.3f, -0.9f, 0.02f], [3]), TensorProtos.Create("var", [2.1f, 1.7f, 0.23f], [3]),
                TensorProtos.Create("low", [-0.9f], []), TensorProtos.Create("high", [1.6f], []),
                TensorProtos.Create("s", [0.037f], []), TensorProtos.Create("t", [0.029f], []), OneNode.Integers(type, [], zero).Typed!.ToProto("z"),
            ], ["y"]);
        using ModelPlan plan = new(model);
        Assert.Equal(0, plan.FloatIslandCount);
        Assert.StartsWith("BatchNormalization", plan.Layers.Single(l => l.IsInteger && l.OpType.Contains("Norm")).OpType);
        Tensor x = new([2, 3, 16, 16], Enumerable.Range(0, 2 * 3 * 256).Select(i => (i * 7 % 256 + least - zero) * 0.037f).ToArray());
        using OnnxRuntimeSession session = new(model, settings: new SessionSettings { Optimize = false });
        float[] expected = session.Run(x)["y"].ToArray();
        Assert.True(expected.Distinct().Count() > 50);
        Assert.Equal(expected, ((Tensor)plan.Run(x)["y"]).ToArray());
    }

    /// <summary>Concatenated values that are normalized before each convolution, as in DenseNet: nothing is left in float, and a Relu is part of the normalization.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("qnnpack")]
    [InlineData("onnxruntime")]
    [InlineData("onnxruntime_s8s8")]
    public void DenselyConnectedNetworksAreIntegersThroughout(string preset)
    {
        OnnxModel model = PassCase.Model("Conv x w1 -> a {pads=[1,1,1,1]}; BatchNormalization a g m m v -> b; Relu b -> c; Conv c w2 -> d {pads=[1,1,1,1]}; Concat a d -> e {axis=1}; "
            + "BatchNormalization e g2 m2 m2 v2 -> f; Relu f -> h; Conv h w3 -> i {pads=[1,1,1,1]}; Concat e i -> j {axis=1}; BatchNormalization j g3 m3 m3 v3 -> k; "
            + "GlobalAveragePool k -> l; Flatten l -> o; Gemm o w4 -> y", [2, 3, 10, 9], constants:
            [
                TestModels.Weight("w1", 1, 16, 3, 3, 3), TestModels.Weight("w2", 2, 8, 16, 3, 3), TestModels.Weight("w3", 3, 8, 24, 3, 3), TestModels.Weight("w4", 4, 32, 10),
                .. Normalization("", 16), .. Normalization("2", 24), .. Normalization("3", 32),
            ]);
        Tensor x = TestModels.Random(6, 4, 3, 10, 9);
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Empty(graph.FloatNodes);
        Assert.Equal(3, graph.Nodes.Count(n => n.OpType.StartsWith("BatchNormalization", StringComparison.Ordinal)));
        Assert.DoesNotContain(graph.Nodes, n => n.OpType == "Relu");
        using OnnxRuntimeSession real = new(model);
        float[] exact = real.Run(x)["y"].ToArray();
        foreach (OnnxModel file in (OnnxModel[])[QdqExporter.Export(graph).Model, QOperatorExporter.Export(graph).Model])
        {
            using OnnxRuntimeSession session = new(file);
            using ModelPlan plan = new(file);
            Assert.Equal(0, plan.FloatIslandCount);
            float[] theirs = session.Run(x)["y"].ToArray();
            Assert.Equal(theirs, ((Tensor)plan.Run(x)["y"]).ToArray());
            Assert.InRange(Decibel(exact, theirs), 20, 60);
        }
        using Int8Plan ours = new(graph);
        Assert.InRange(Decibel(exact, ours.Run(x).Outputs["y"].ToArray()), 20, 60);
    }

    [Theory]
    [InlineData("BatchNormalization a g16 v16 s v16 -> y", "its parameters are computed, not constants")]
    [InlineData("BatchNormalization a g16 v16 v16 v16 -> y p q {training_mode=1}", "it is in training mode")]
    public void OthersStayFloat(string node, string reason)
    {
        OnnxModel model = PassCase.Model($"ReduceMean x -> r {{axes=[0,1,2,3] keepdims=0}}; Expand r sixteen -> s; Conv x w -> c; Relu c -> a; Neg a -> z; {node}", [1, 3, 10, 9],
            outputs: ["y", "z"], constants: [TestModels.Weight("w", 1, 16, 3, 3, 3), TensorProtos.Create("sixteen", [16L], [1]), TestModels.Weight("g16", 2, 16), TensorProtos.Create("v16", Enumerable.Repeat(0.5f, 16).ToArray(), [16])]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(TestModels.Random(6, 1, 3, 10, 9));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Equal(reason, graph.FloatNodes.Single(n => n.OpType == "BatchNormalization").Reason);
    }

    /// <summary>Signal to noise.</summary>
    private static double Decibel(float[] exact, float[] rounded) =>
        10 * Math.Log10(exact.Sum(v => (double)v * v) / exact.Zip(rounded).Sum(v => Math.Pow((double)v.First - v.Second, 2)));

    private static TensorProto[] Normalization(string suffix, int channels) =>
    [
        TensorProtos.Create("g" + suffix, Enumerable.Range(0, channels).Select(i => (i % 5 == 4 ? -0.6f : 0.7f) + i * 0.02f).ToArray(), [channels]), TestModels.Weight("m" + suffix, channels, channels),
        TensorProtos.Create("v" + suffix, Enumerable.Range(0, channels).Select(i => 1.5f + i % 7).ToArray(), [channels]),
    ];
}
