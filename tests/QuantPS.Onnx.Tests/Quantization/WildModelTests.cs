using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using AttributeType = QuantPS.Onnx.Model.Proto.AttributeProto.Types.AttributeType;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>What models from elsewhere brought to light, each in small.</summary>
public class WildModelTests
{
    /// <summary>Up to IR version 3 every initializer is listed among the inputs. Left there, ONNX Runtime warns of it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ConstantsAmongTheInputsBecomeConstants(bool dynamic)
    {
        OnnxModel model = TestModels.Graph([1, 2, 6, 6],
            [Nodes.Create("Conv", "conv", ["x", "w"], ["a"]), Nodes.Create("Exp", "exp", ["a"], ["e"]), Nodes.Create("Add", "add", ["e", "c"], ["f"]), Nodes.Create("Reshape", "reshape", ["f", "shape"], ["y"])],
            [TestModels.Weight("w", 1, 3, 2, 3, 3), TestModels.Weight("c", 2, 3, 1, 1), TensorProtos.Create("shape", [1L, -1L], [2])], ["y"], opset: 8, ir: 3);
        model.Proto.Graph.Input.Add([Nodes.Value("w", DataType.Float, 3, 2, 3, 3), Nodes.Value("c", DataType.Float, 3, 1, 1), Nodes.Value("shape", DataType.Int64, 2)]);
        model.Invalidate();
        OnnxModel file;
        if (dynamic)
        {
            file = DynamicQuantizer.Quantize(model);
        }
        else
        {
            using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
            calibrator.Observe(TestModels.Random(5, 1, 2, 6, 6));
            file = QdqExporter.Export(ModelQuantizer.Quantize(calibrator.Finish())).Model;
        }
        Assert.Equal(["x"], file.Proto.Graph.Input.Select(i => i.Name));
        Assert.Equal("", StandardError.Of(() => new OnnxRuntimeSession(file, settings: new SessionSettings { Warnings = true }).Dispose()));
    }

    /// <summary>The network of a converter from Core ML: operators that ended with operator set 9.</summary>
    [Fact]
    public void ExperimentalOperatorsAreReplaced()
    {
        AttributeProto bias = new() { Name = "bias", Type = AttributeType.Floats };
        bias.Floats.Add([0.5f, -1f]);
        NodeProto[] nodes =
        [
            Nodes.Create("ImageScaler", "scaler", ["x"], ["a"], Nodes.Attribute("scale", 0.5f), bias), Nodes.Create("Conv", "conv", ["a", "w"], ["b"]),
            Nodes.Create("Crop", "crop", ["b"], ["c"], Nodes.Attribute("border", [1, 0, 2, 3])), Nodes.Create("Crop", "part", ["c"], ["d"], Nodes.Attribute("border", [1, 1, 0, 0]), Nodes.Attribute("scale", [2, 3])),
            Nodes.Create("Affine", "affine", ["d"], ["y"], Nodes.Attribute("alpha", 2f), Nodes.Attribute("beta", 0.25f)),
        ];
        OnnxModel model = TestModels.Graph([1, 2, 12, 12], nodes, [TestModels.Weight("w", 1, 3, 2, 3, 3)], ["y"], opset: 7);
        Passes.PassCase.Check(model, new QuantPS.Onnx.Passes.ReplaceExperimental(), [1, 2, 12, 12]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(TestModels.Random(5, 1, 2, 12, 12));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Contains(graph.Nodes, n => n.IsQuantized && n.OpType.StartsWith("Conv", StringComparison.Ordinal));
        using OnnxRuntimeSession session = new(QdqExporter.Export(graph).Model);
        Assert.Equal([1, 3, 2, 3], session.Run(TestModels.Random(6, 1, 2, 12, 12))["y"].Shape);
    }

    [Fact]
    public void LayersInBodiesAreNamed()
    {
        GraphProto Body(string name)
        {
            GraphProto body = new() { Name = name };
            body.Node.Add(Nodes.Create("Conv", name + "_conv", ["x", "w"], [name]));
            body.Output.Add(Nodes.Value(name, DataType.Float, null, null, null, null));
            return body;
        }
        NodeProto choice = Nodes.Create("If", "if", ["yes"], ["y"]);
        choice.Attribute.Add(new AttributeProto { Name = "then_branch", Type = AttributeType.Graph, G = Body("a") });
        choice.Attribute.Add(new AttributeProto { Name = "else_branch", Type = AttributeType.Graph, G = Body("b") });
        OnnxModel model = TestModels.Graph([1, 2, 6, 6], [Nodes.Create("ReduceMax", "max", ["x"], ["m"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Greater", "greater", ["m", "zero"], ["yes"]), choice],
            [TestModels.Weight("w", 1, 3, 2, 3, 3), TensorProtos.Create("zero", [0f], [])], ["y"]);
        QuantException e = Assert.Throws<QuantException>(() => new Calibrator(model, QConfigPresets.Get("x86")));
        Assert.Equal(ErrorIds.NothingToQuantize, e.ErrorId);
        Assert.Contains("Conv nodes are in the bodies of If", e.Message);
        Assert.Contains("-Dynamic -Subgraph", e.Message);
    }

    /// <summary>Runs that keep to themselves what they need of large float values: the results of earlier runs stay what they were.</summary>
    [Fact]
    public void LargeFloatValuesOfOneRunAreNotThoseOfTheNext()
    {
        // Exp and Sqrt have no int8 form: float islands between layers, with more than 80 KB each.
        OnnxModel model = TestModels.Graph([1, 4, 64, 96],
            [Nodes.Create("Conv", "c1", ["x", "w"], ["a"]), Nodes.Create("Exp", "exp", ["a"], ["e"]), Nodes.Create("Sqrt", "sqrt", ["e"], ["s"]), Nodes.Create("Conv", "c2", ["s", "v"], ["y"])],
            [TestModels.Weight("w", 1, 4, 4, 1, 1), TestModels.Weight("v", 2, 4, 4, 1, 1)], ["y", "s"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        Tensor[] inputs = [.. Enumerable.Range(0, 3).Select(i => TestModels.Random(i, 1, 4, 64, 96))];
        foreach (Tensor x in inputs)
            calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        OnnxModel file = QdqExporter.Export(graph).Model;
        using OnnxRuntimeSession session = new(file);
        using ModelPlan plan = new(file);
        using Int8Plan own = new(graph);
        var made = inputs.Select(x => (Expected: session.Run(x), File: plan.Run(x), Own: own.Run(x).Outputs)).ToArray();
        foreach ((IReadOnlyDictionary<string, Tensor> expected, IReadOnlyDictionary<string, object> ofFile, IReadOnlyDictionary<string, Tensor> ofOwn) in made)
        {
            foreach (string name in (string[])["y", "s"])
            {
                float step = graph.QParamsOf(name)?.Scales[0] ?? 0.01f;
                Assert.All(expected[name].ToArray().Zip(((Tensor)ofFile[name]).ToArray(), ofOwn[name].ToArray()), v =>
                {
                    Assert.Equal(v.First, v.Second, 1.01f * step);
                    Assert.Equal(v.First, v.Third, 1.01f * step);
                });
            }
        }
    }
}
