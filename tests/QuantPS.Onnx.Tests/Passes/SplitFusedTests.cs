using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Configuration;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Tests.Passes;

/// <summary>ONNX Runtime runs the fused operators itself: what it makes of them is compared with what it makes of the parts.</summary>
public class SplitFusedTests
{
    private static readonly int[] Shape = [1, 3, 8, 7];

    [Theory]
    [InlineData("Relu", new float[0], "Relu")]
    [InlineData("Tanh", new float[0], "Tanh")]
    [InlineData("Sigmoid", new float[0], "Sigmoid")]
    [InlineData("LeakyRelu", new[] { 0.3f }, "LeakyRelu")]
    [InlineData("HardSigmoid", new[] { 0.3f, 0.4f }, "HardSigmoid")]
    [InlineData("Clip", new[] { -0.5f, 1.5f }, "Clip")]
    [InlineData("Clip", new[] { -0.5f, 1.5f }, "Clip", 10)]
    [InlineData("Clip", new[] { -0.5f, 1.5f }, "Clip", 7)]
    [InlineData(null, new float[0], null)]
    public void FusedConv(string? activation, float[] parameters, string? expected, int opset = 17)
    {
        foreach ((bool bias, bool sum) in (ReadOnlySpan<(bool, bool)>)[(false, false), (true, false), (false, true), (true, true)])
        {
            AttributeProto[] attributes = [Nodes.Attribute("kernel_shape", [3, 2]), Nodes.Attribute("pads", [1, 0, 2, 1]), Nodes.Attribute("strides", [2, 1]),
                Nodes.Attribute("dilations", [1, 2]), Nodes.Attribute("group", 1L)];
            string[] inputs = sum ? ["x", "w", bias ? "b" : "", "z"] : bias ? ["x", "w", "b"] : ["x", "w"];
            NodeProto[] nodes = [Nodes.Create("Conv", "other", ["x", "v"], ["z"], attributes), Fused("FusedConv", inputs, activation, parameters, attributes)];
            OnnxModel model = Model(nodes, [TestModels.Weight("w", 1, 4, 3, 3, 2), TestModels.Weight("v", 2, 4, 3, 3, 2), TestModels.Weight("b", 3, 4)], opset);
            string[] operators = [.. (string?[])["Conv", "Conv", sum ? "Add" : null, expected] is var all ? all.OfType<string>() : []];

            OnnxModel split = PassCase.Check(model, new SplitFused(), Shape, 1e-5f);
            Assert.Equal(operators, PassCase.Operators(split));
            Assert.Equal(["SplitFused x 1"], split.Preparation.Select(p => p.ToString()));
            Assert.Equal("fused", split.Graph.Nodes[1].Name);
            // With the others, which lift the operator set and give Clip its limits as inputs.
            OnnxModel prepared = PassCase.Check(model, null, Shape, 1e-5f);
            Assert.Equal(operators, PassCase.Operators(prepared));
            Assert.True(prepared.Opset >= 13);
        }
    }

    [Theory]
    [InlineData("Elu", "alpha")]
    [InlineData("HardSigmoid", "alpha beta")]
    [InlineData("LeakyRelu", "alpha")]
    [InlineData("Relu", "")]
    [InlineData("Selu", "alpha gamma")]
    [InlineData("Sigmoid", "")]
    [InlineData("Softplus", "")]
    [InlineData("Softsign", "")]
    [InlineData("Tanh", "")]
    public void FusedGemm(string activation, string parameters)
    {
        NodeProto node = Fused("FusedGemm", ["x", "w", "b"], activation, [], [Nodes.Attribute("transB", 1L), Nodes.Attribute("alpha", 0.5f), Nodes.Attribute("beta", 1.5f)]);
        foreach ((int i, string name) in parameters.Split(' ', StringSplitOptions.RemoveEmptyEntries).Index())
            node.Attribute.Add(Nodes.Attribute("activation_" + name, 0.3f + (0.9f * i)));
        OnnxModel model = Model([node], [TestModels.Weight("w", 1, 4, 5), TestModels.Weight("b", 3, 4)], shape: [2, 5]);
        OnnxModel split = PassCase.Check(model, new SplitFused(), [2, 5], 1e-5f);
        Assert.Equal(["Gemm", activation], PassCase.Operators(split));
    }

    [Fact]
    public void FusedMatMulOnlyWithoutTransposesAndFactor()
    {
        TensorProto w = TestModels.Weight("w", 1, 5, 5);
        NodeProto Node(params AttributeProto[] attributes) => Fused("FusedMatMul", ["x", "w"], null, [], attributes);
        OnnxModel plain = Model([Node(Nodes.Attribute("alpha", 1f), Nodes.Attribute("transA", 0L), Nodes.Attribute("transB", 0L))], [w], shape: [2, 5]);
        Assert.Equal(["MatMul"], PassCase.Operators(PassCase.Check(plain, new SplitFused(), [2, 5])));
        Assert.Equal(0, new SplitFused().Apply(Model([Node(Nodes.Attribute("alpha", 2f))], [w], shape: [2, 5])));
        Assert.Equal(0, new SplitFused().Apply(Model([Node(Nodes.Attribute("transB", 1L))], [w], shape: [2, 5])));
    }

    [Theory]
    [InlineData("FusedConv", "Erf", new float[0])]
    [InlineData("FusedConv", "", new float[0])]
    [InlineData("FusedConv", "LeakyRelu", new float[0])]
    [InlineData("FusedConv", "Clip", new[] { 1f })]
    [InlineData("FusedConv", "HardSigmoid", new[] { 1f, 2f, 3f })]
    [InlineData("FusedConv", "Relu", new float[0], "layout")]
    [InlineData("FusedGemm", "", new float[0])]
    [InlineData("FusedGemm", "ScaledTanh", new float[0])]
    [InlineData("FusedGemm", "Relu", new float[0], "activation_alpha")]
    [InlineData("FusedGemm", "Relu", new float[0], "activation_params")]
    public void WhatIsNotKnownStays(string opType, string activation, float[] parameters, string? attribute = null)
    {
        NodeProto node = Fused(opType, ["x", "w"], activation, parameters, attribute is null ? [] : [Nodes.Attribute(attribute, 1f)]);
        OnnxModel model = Model([node], [TestModels.Weight("w", 1, 4, 3, 3, 2)]);
        byte[] before = model.ToBytes();
        Assert.Equal(0, new SplitFused().Apply(model));
        Assert.Equal(before, model.ToBytes());
        // An operator of this name from somewhere else is another.
        NodeProto elsewhere = Fused("FusedConv", ["x", "w"], "Relu", [], []);
        elsewhere.Domain = "org.example";
        Assert.Equal(0, new SplitFused().Apply(Model([elsewhere], [TestModels.Weight("w", 1, 4, 3, 3, 2)])));
    }

    [Fact]
    public void NamesThatAreTakenAreLeftAlone()
    {
        NodeProto[] nodes = [Nodes.Create("Relu", "r", ["x"], ["y_Conv"]), Fused("FusedConv", ["y_Conv", "w", "", "y_min"], "Clip", [0.1f, 2], []), Nodes.Create("Conv", "c", ["x", "w"], ["y_min"])];
        nodes[1].Name = "";
        OnnxModel model = Model(nodes, [TestModels.Weight("w", 1, 4, 3, 3, 2), TensorProtos.Create("y_max", [1f], [])]);
        OnnxModel split = PassCase.Check(model, new SplitFused(), Shape, 1e-5f);
        Assert.Equal(["Add", "Clip", "Conv", "Conv", "Relu"], PassCase.Operators(split).Order());
        Assert.Contains(split.Graph.Nodes, n => n.Name == "y");
    }

    /// <summary>The optimizer's own work, by way of the file that it saves.</summary>
    [Fact]
    public void AModelThatTheOptimizerSavedIsQuantizedLikeTheOriginal()
    {
        TensorProto[] weights = [TestModels.Weight("w1", 1, 5, 3, 3, 3), TestModels.Weight("b1", 2, 5), TestModels.Weight("w2", 3, 5, 5, 1, 1), TestModels.Weight("w3", 4, 5, 5, 1, 1), TestModels.Weight("w4", 5, 4, 5),
            TensorProtos.Create("low", [0f], []), TensorProtos.Create("high", [6f], [])];
        OnnxModel original = TestModels.Graph([1, 3, 8, 7],
        [
            Nodes.Create("Conv", "c1", ["x", "w1", "b1"], ["a"]), Nodes.Create("Clip", "clip", ["a", "low", "high"], ["b"]),
            Nodes.Create("Conv", "c2", ["b", "w2"], ["c"]), Nodes.Create("LeakyRelu", "leaky", ["c"], ["d"], Nodes.Attribute("alpha", 0.2f)),
            Nodes.Create("Conv", "c3", ["d", "w3"], ["e"]), Nodes.Create("Add", "add", ["e", "b"], ["f"]), Nodes.Create("Relu", "relu", ["f"], ["g"]),
            Nodes.Create("GlobalAveragePool", "pool", ["g"], ["h"]), Nodes.Create("Flatten", "flat", ["h"], ["i"]),
            Nodes.Create("Gemm", "fc", ["i", "w4"], ["j"], Nodes.Attribute("transB", 1L)), Nodes.Create("Sigmoid", "s", ["j"], ["y"]),
        ], weights, ["y"]);
        using TempFile file = new();
        // Beyond this level it also changes the layout, for the processor at hand.
        using (SessionOptions options = new() { GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_EXTENDED, OptimizedModelFilePath = file.Path })
        using (new InferenceSession(original.ToBytes(), options))
        {
        }
        OnnxModel saved = OnnxModel.Load(file.Path);
        Assert.Contains(saved.Graph.Nodes, n => n.OpType == "FusedConv");
        Assert.Contains(saved.Graph.Nodes, n => n.OpType == "FusedGemm");
        QuantizedGraph expected = Quantize(original), actual = Quantize(saved);
        Assert.Equal(expected.Nodes.Count(n => n.IsQuantized), actual.Nodes.Count(n => n.IsQuantized));
        Assert.Equal(expected.Nodes.Select(n => n.OpType).Order(), actual.Nodes.Select(n => n.OpType).Order());
        using Int8Plan ofOriginal = new(expected), ofSaved = new(actual);
        Tensor x = TestModels.Random(9, Shape);
        Assert.Equal(ofOriginal.Run(x).Outputs["y"].ToArray(), ofSaved.Run(x).Outputs["y"].ToArray());

        static QuantizedGraph Quantize(OnnxModel model)
        {
            using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
            for (int i = 0; i < 4; i++)
                calibrator.Observe(TestModels.Random(i, Shape));
            return ModelQuantizer.Quantize(calibrator.Finish());
        }
    }

    private static NodeProto Fused(string opType, string[] inputs, string? activation, float[] parameters, AttributeProto[] attributes)
    {
        NodeProto node = Nodes.Create(opType, "fused", inputs, ["y"], [.. attributes.Select(a => a.Clone())]);
        node.Domain = "com.microsoft";
        if (activation is not null)
            node.Attribute.Add(Nodes.Attribute("activation", activation));
        if (parameters.Length > 0)
        {
            AttributeProto list = new() { Name = "activation_params", Type = AttributeProto.Types.AttributeType.Floats };
            list.Floats.Add(parameters);
            node.Attribute.Add(list);
        }
        return node;
    }

    private static OnnxModel Model(NodeProto[] nodes, TensorProto[] weights, int opset = 17, int[]? shape = null)
    {
        OnnxModel model = TestModels.Graph([.. (shape ?? Shape).Cast<object>()], nodes, weights, ["y"], opset);
        model.Proto.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        return model;
    }
}
