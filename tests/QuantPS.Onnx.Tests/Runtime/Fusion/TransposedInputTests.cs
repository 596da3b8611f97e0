using QuantPS.Engine.Configuration;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>A float Transpose before the first layer is done with the bytes, where nobody wants its floats.</summary>
public class TransposedInputTests
{
    [Theory]
    [InlineData("pixels", "x86", true)]
    [InlineData("pixels", "onnxruntime", true)]
    [InlineData("mirrored", "onnxruntime", true)]
    [InlineData("line", "x86", true)]
    [InlineData("wanted", "onnxruntime", false)]
    [InlineData("computed with", "x86", false)]
    public void IsTheSame(string what, string preset, bool own)
    {
        int[] shape = what == "line" ? [2, 9, 3] : what == "mirrored" ? [2, 3, 9, 8] : [2, 8, 9, 3];
        int[] order = what == "line" ? [0, 2, 1] : what == "mirrored" ? [0, 1, 3, 2] : [0, 3, 1, 2];
        List<NodeProto> nodes = [Nodes.Create("Transpose", "t", ["x"], ["h"], Nodes.Attribute("perm", order)), Nodes.Create("Conv", "c", ["h", what == "line" ? "v" : "w"], ["y"])];
        if (what == "computed with")
            nodes.Add(Nodes.Create("Sin", "s", ["h"], ["z"]));
        OnnxModel model = TestModels.Graph(["N", .. shape[1..].Cast<object>()], nodes, [what == "line" ? TestModels.Weight("v", 1, 5, 3, 3) : TestModels.Weight("w", 2, 5, 3, 3, 3)],
            what switch { "wanted" => ["y", "h"], "computed with" => ["y", "z"], _ => ["y"] });
        QConfig config = QConfigPresets.Get(preset);
        using Calibrator calibrator = new(model, config with { Activation = config.Activation with { Kind = ObserverKind.MinMax } });
        Tensor x = TestModels.Random(5, shape);
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        OnnxModel file = QdqExporter.Export(graph).Model;
        using Int8Plan plan = new(graph);
        using ModelPlan read = new(file);
        using OnnxRuntimeSession session = new(file);
        Assert.Equal(own, plan.FloatIslandCount == 0);
        Assert.Equal(own, read.FloatIslandCount == 0);
        Assert.Contains("Transpose", read.Layers.Select(l => l.OpType));
        IReadOnlyDictionary<string, Tensor> expected = session.Run(x);
        IReadOnlyDictionary<string, object> actual = read.Run(x);
        PlanResult result = plan.Run(x);
        foreach ((string name, Tensor value) in expected)
        {
            Assert.Equal(value.Shape, result.Outputs[name].Shape);
            if (name == "z")
                continue;
            Assert.Equal(value.ToArray(), ((Tensor)actual[name]).ToArray());
            float step = graph.QParamsOf("y")!.Scales[0] * 1.01f;
            Assert.All(value.ToArray().Zip(result.Outputs[name].ToArray()), v => Assert.Equal(v.First, v.Second, step));
        }
        // Again, over memory that was used before.
        Assert.Equal(((Tensor)actual["y"]).ToArray(), ((Tensor)read.Run(x)["y"]).ToArray());
        Assert.Equal(result.Outputs["y"].ToArray(), plan.Run(x).Outputs["y"].ToArray());
    }
}
