using QuantPS.Engine.Errors;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using AttributeType = QuantPS.Onnx.Model.Proto.AttributeProto.Types.AttributeType;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Passes;

public class WidenFloat16Tests
{
    private static readonly int[] Image = [2, 3, 8, 8];

    /// <summary>As converters to float16 leave a network: constants, casts and both ends are float16. The output is taken by another node as well, the input by a body.</summary>
    private static OnnxModel Network()
    {
        GraphProto body = new() { Name = "body" };
        body.Node.Add(Nodes.Create("Mul", "double", ["x", "two"], ["twice"]));
        body.Output.Add(Nodes.Value("twice", DataType.Float16, null, null, null, null));
        GraphProto other = new() { Name = "other" };
        other.Node.Add(Nodes.Create("Identity", "same", ["x"], ["copy"]));
        other.Output.Add(Nodes.Value("copy", DataType.Float16, null, null, null, null));
        NodeProto choice = Nodes.Create("If", "if", ["large"], ["z"]);
        choice.Attribute.Add(new AttributeProto { Name = "then_branch", Type = AttributeType.Graph, G = body });
        choice.Attribute.Add(new AttributeProto { Name = "else_branch", Type = AttributeType.Graph, G = other });
        NodeProto[] nodes =
        [
            Nodes.Create("Conv", "conv", ["x", "w", "b"], ["a"]), Nodes.Create("Relu", "relu", ["a"], ["y"]),
            Nodes.Create("ReduceMax", "max", ["y"], ["m"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Cast", "cast", ["m"], ["f"], Nodes.Attribute("to", (long)DataType.Float)),
            Nodes.Create("Cast", "back", ["f"], ["h"], Nodes.Attribute("to", (long)DataType.Float16)), Nodes.Create("Greater", "greater", ["h", "two"], ["large"]), choice,
        ];
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], nodes, [Half("w", TestModels.Random(1, 5, 3, 3, 3)), Half("b", TestModels.Random(2, 5)), Half("two", new Tensor([], new[] { 2f }))], ["y", "z"]);
        foreach (ValueInfoProto value in model.Proto.Graph.Input.Concat(model.Proto.Graph.Output))
            value.Type.TensorType.ElemType = (int)DataType.Float16;
        model.Invalidate();
        return model;
    }

    private static TensorProto Half(string name, Tensor values)
    {
        Half[] halves = Array.ConvertAll(values.ToArray(), v => (Half)v);
        return TensorProtos.Create(name, DataType.Float16, System.Runtime.InteropServices.MemoryMarshal.AsBytes<Half>(halves), values.Shape);
    }

    private static Tensor Input(int seed)
    {
        Tensor x = TestModels.Random(seed, Image);
        foreach (ref float v in x.Span)
            v = (float)(Half)v;
        return x;
    }

    [Fact]
    public void TheSameInFloat32BetweenTheSameEnds()
    {
        OnnxModel model = Network(), wide = PassRegistry.Apply(model, [new WidenFloat16()]);
        Assert.Equal((int)DataType.Float16, wide.Proto.Graph.Input.Single().Type.TensorType.ElemType);
        Assert.All(wide.Proto.Graph.Output, o => Assert.Equal((int)DataType.Float16, o.Type.TensorType.ElemType));
        ValueTypes types = ValueTypes.Infer(wide);
        Assert.All(["a", "m", "h"], v => Assert.Equal(DataType.Float, types[v]!.ElementType));
        Assert.All(wide.Proto.Graph.Initializer, t => Assert.Equal(DataType.Float, t.Type()));
        Assert.Equal(0, new WidenFloat16().Apply(wide));
        using OnnxRuntimeSession before = new(model), after = new(wide);
        IReadOnlyDictionary<string, object> expected = before.RunAnyType(Input(3), model), actual = after.RunAnyType(Input(3), wide);
        foreach (string name in (string[])["y", "z"])
            Assert.All(((Tensor)expected[name]).ToArray().Zip(((Tensor)actual[name]).ToArray()), v => Assert.Equal(v.First, v.Second, 4e-3f * MathF.Max(1, MathF.Abs(v.First))));
    }

    [Theory]
    [InlineData("x86", true)]
    [InlineData("onnxruntime", false)]
    public void ModelsOfFloat16AreQuantized(string preset, bool qdq)
    {
        OnnxModel model = Network();
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        for (int i = 0; i < 4; i++)
            calibrator.Observe(Input(i));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Contains(graph.Nodes, n => n.IsQuantized && n.OpType.StartsWith("Conv"));
        OnnxModel file = (qdq ? QdqExporter.Export(graph) : QOperatorExporter.Export(graph)).Model;
        Assert.Equal((int)DataType.Float16, file.Proto.Graph.Input.Single().Type.TensorType.ElemType);
        using OnnxRuntimeSession real = new(model), integer = new(file, settings: new SessionSettings { Warnings = true });
        using ModelPlan plan = new(file);
        using Int8Plan own = new(graph);
        float[] expected = ((Tensor)real.RunAnyType(Input(9), model)["y"]).ToArray();
        foreach (object made in (object[])[integer.RunAnyType(Input(9), file)["y"], plan.Run(Input(9))["y"], own.Run(Input(9)).Outputs["y"]])
        {
            double noise = expected.Zip(((Tensor)made).ToArray()).Sum(v => Math.Pow(v.First - v.Second, 2)), signal = expected.Sum(v => (double)v * v);
            Assert.InRange(10 * Math.Log10(signal / noise), 25, 80);
        }
    }

    /// <summary>A float32 input is rounded, as an image has to be, and refused where that would make it infinite.</summary>
    [Fact]
    public void InputsAreRounded()
    {
        OnnxModel model = Network();
        using OnnxRuntimeSession session = new(model);
        Tensor x = TestModels.Random(3, Image);
        Assert.Contains(x.ToArray(), v => (float)(Half)v != v);
        Assert.Equal(((Tensor)session.RunAnyType(Input(3), model)["y"]).ToArray(), ((Tensor)session.RunAnyType(x, model)["y"]).ToArray());
        x.Span[7] = 65520f;
        Assert.Contains("65520", Assert.Throws<QuantException>(() => session.RunAnyType(x, model)).Message);
    }
}
