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

namespace QuantPS.Onnx.Tests.Passes;

public class FuseTests
{
    private static readonly int[] Shape = [2, 3, 5];

    [Theory]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("Add c3 x -> a; Clip a c0 c6 -> b; Mul b x -> c; Mul c c0.16666667 -> y")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Div b c6 -> c; Mul x c -> y")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul c0.16666667 b -> c; Mul c x -> y")]
    [InlineData("Div x c6 -> d; Add x c3 -> a; Clip a c0 c6 -> b; Mul d b -> y")]
    [InlineData("Add x c3 -> a; Relu a -> r; Min r c6 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("Add x c3 -> a; Min a c6 -> r; Max r c0 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("HardSigmoid x -> h {alpha=0.16666667 beta=0.5}; Mul x h -> y")]
    [InlineData("Mul x c0.16666667 -> a; Add a c0.5 -> b; Clip b c0 c1 -> h; Mul h x -> y")]
    [InlineData("Add x c3 -> a; Clip a -> b {min=0.0 max=6.0}; Mul x b -> c; Div c c6 -> y", 9)]
    [InlineData("Add x c3 -> a; Clip a -> b {min=0.0 max=6.0}; Mul x b -> c; Div c c6 -> y", 7)]
    public void HardSwish(string nodes, int opset = 17)
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Shape, opset, ir: opset < 9 ? 4 : 8), null, Shape);
        Assert.Equal(["HardSwish"], PassCase.Operators(prepared));
        Assert.Empty(prepared.Proto.Graph.Initializer);
        Assert.InRange(prepared.Opset, 14, 17);
        Assert.Contains("FuseHardSwish x 1", prepared.Preparation.Select(p => p.ToString()));
    }

    [Theory]
    // Another consumer of a value inside.
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y", "a")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y", "b")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y", "c")]
    [InlineData("Div x c6 -> d; Add x c3 -> a; Clip a c0 c6 -> b; Mul d b -> y", "d")]
    [InlineData("HardSigmoid x -> h {alpha=0.16666667 beta=0.5}; Mul x h -> y", "h")]
    // Another constant.
    [InlineData("Add x c2 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("Add x c3 -> a; Clip a c0 c5 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("Add x c3 -> a; Clip a c1 c6 -> b; Mul x b -> c; Div c c6 -> y")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c5 -> y")]
    [InlineData("HardSigmoid x -> h {alpha=0.2 beta=0.5}; Mul x h -> y")]
    // The other factor is another value, as in squeeze and excitation.
    [InlineData("Relu x -> z; Add x c3 -> a; Clip a c0 c6 -> b; Mul z b -> c; Div c c6 -> y")]
    [InlineData("Relu x -> z; HardSigmoid x -> h {alpha=0.16666667 beta=0.5}; Mul z h -> y")]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul b b -> c; Div c c6 -> y")]
    // A division of the constant.
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Mul x b -> c; Add c c7 -> e; Div c6 e -> y")]
    public void NotHardSwish(string nodes, string? alsoAnOutput = null)
    {
        string[] outputs = alsoAnOutput is null ? ["y"] : ["y", alsoAnOutput];
        OnnxModel model = PassCase.Model(nodes, Shape, outputs: outputs), prepared = PassCase.Check(model, null, Shape, 1e-5f);
        Assert.DoesNotContain("HardSwish", PassCase.Operators(prepared));
        // By a node rather than by an output, too.
        if (alsoAnOutput is not null)
            Assert.DoesNotContain("HardSwish", PassCase.Operators(PassCase.Check(PassCase.Model($"{nodes}; Neg {alsoAnOutput} -> z", Shape, outputs: ["y", "z"]), null, Shape)));
    }

    /// <summary>A constant that gives the result more dimensions is no scalar.</summary>
    [Fact]
    public void ConstantsThatBroadcastTheValueAreNoScalars()
    {
        TensorProto wide = TensorProtos.Create("wide", [3f], [1, 1, 1, 1]);
        OnnxModel model = PassCase.Model("Add x wide -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y", Shape, constants: [wide]);
        Assert.DoesNotContain("HardSwish", PassCase.Operators(PassCase.Check(model, null, Shape)));
        TensorProto narrow = TensorProtos.Create("narrow", [3f], [1, 1, 1]);
        model = PassCase.Model("Add x narrow -> a; Clip a c0 c6 -> b; Mul x b -> c; Div c c6 -> y", Shape, constants: [narrow]);
        Assert.Equal(["HardSwish"], PassCase.Operators(PassCase.Check(model, null, Shape)));
    }

    [Fact]
    public void NotLiftableModelKeepsItsPieces()
    {
        // Resize of opset 10 by a computed scale has no successor.
        OnnxModel model = PassCase.Model("Add x c3 -> a; Clip a -> b {min=0.0 max=6.0}; Mul x b -> c; Div c c6 -> y; Shape y -> s; Cast s -> sc {to=1}; Resize y sc -> z {mode=nearest}",
            [1, 1, 2], 10, ["y"]);
        OnnxModel prepared = PassCase.Check(model, new FuseHardSwish(), [1, 1, 2]);
        Assert.Equal(10, prepared.Opset);
        Assert.Empty(prepared.Preparation);
        Assert.Equal(model.ToBytes(), prepared.ToBytes());
    }

    [Theory]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Div b c6 -> y", 1 / 6f, 0.5f)]
    [InlineData("Mul x c0.2 -> a; Add a c0.5 -> b; Clip b c0 c1 -> y", 0.2f, 0.5f)]
    [InlineData("Add x c2 -> a; Clip a c0 c4 -> b; Mul b c0.25 -> y", 0.25f, 0.5f)]
    public void HardSigmoid(string nodes, float alpha, float beta)
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Shape), null, Shape);
        NodeProto node = Assert.Single(prepared.Graph.Nodes);
        Assert.Equal("HardSigmoid", node.OpType);
        Assert.Equal(alpha, node.GetFloat("alpha", 0), 1e-6f);
        Assert.Equal(beta, node.GetFloat("beta", 0), 1e-6f);
    }

    [Theory]
    [InlineData("Add x c3 -> a; Clip a c0 c6 -> b; Div b c5 -> y")]
    [InlineData("Add x c3 -> a; Clip a c-1 c6 -> b; Div b c6 -> y")]
    // Better a bias and a limit of the layer before.
    [InlineData("Add x c0.5 -> a; Clip a c0 c1 -> y")]
    [InlineData("Clip x c0 c6 -> b; Div b c6 -> y")]
    public void NotHardSigmoid(string nodes) =>
        Assert.DoesNotContain("HardSigmoid", PassCase.Operators(PassCase.Check(PassCase.Model(nodes, Shape), null, Shape)));

    [Theory]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.5 -> y", "")]
    [InlineData("Mul x c0.5 -> h; Div x c1.4142135 -> a; Erf a -> b; Add c1 b -> c; Mul h c -> y", "")]
    [InlineData("Mul x c0.70710677 -> a; Erf a -> b; Add b c1 -> c; Mul c c0.5 -> d; Mul x d -> y", "")]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Div d c2 -> y", "")]
    [InlineData("Pow x c3 -> p; Mul p c0.044715 -> q; Add x q -> r; Mul r c0.7978845 -> s; Tanh s -> t; Add t c1 -> u; Mul x c0.5 -> h; Mul h u -> y", "tanh")]
    [InlineData("Mul x x -> x2; Mul x2 x -> x3; Mul c0.044715 x3 -> q; Add q x -> r; Mul c0.7978845 r -> s; Tanh s -> t; Add c1 t -> u; Mul x u -> v; Mul c0.5 v -> y", "tanh")]
    [InlineData("Mul x c0.044715 -> p; Mul p x -> q; Add q c1 -> r; Mul x c0.7978845 -> s; Mul s r -> v; Tanh v -> t; Add t c1 -> u; Mul x u -> w; Mul w c0.5 -> y", "tanh")]
    public void Gelu(string nodes, string approximate)
    {
        foreach (int opset in (int[])[11, 17, 20])
        {
            OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Shape, opset), null, Shape, 2e-4f);
            NodeProto node = Assert.Single(prepared.Graph.Nodes);
            Assert.Equal(("Gelu", "", 20), (node.OpType, node.Domain, prepared.Opset));
            Assert.Equal(approximate, node.GetString("approximate", ""));
        }
    }

    [Theory]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.5 -> y", "Gelu")]
    [InlineData("Pow x c3 -> p; Mul p c0.044715 -> q; Add x q -> r; Mul r c0.7978845 -> s; Tanh s -> t; Add t c1 -> u; Mul x c0.5 -> h; Mul h u -> y", "FastGelu")]
    public void GeluOfTheExtensionWhereTheModelCannotBeLifted(string nodes, string expected)
    {
        // The Fourier transform changed with opset 20.
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes + "; DFT x -> z {axis=1}", [1, 4, 2]), null, [1, 4, 2], 2e-3f);
        Assert.Equal(17, prepared.Opset);
        NodeProto node = Assert.Single(prepared.Graph.Nodes, n => n.OpType != "DFT");
        Assert.Equal((expected, "com.microsoft"), (node.OpType, node.Domain));
        Assert.Equal(1, prepared.OpsetOf("com.microsoft"));
    }

    [Theory]
    [InlineData("Div x c1.5 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.5 -> y")]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c2 -> c; Mul x c -> d; Mul d c0.5 -> y")]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.6 -> y")]
    [InlineData("Relu x -> z; Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul z c -> d; Mul d c0.5 -> y")]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.5 -> y; Neg b -> z", "z")]
    [InlineData("Div x c1.4142135 -> a; Erf a -> b; Add b c1 -> c; Mul x c -> d; Mul d c0.5 -> y; Neg d -> z", "z")]
    [InlineData("Pow x c3 -> p; Mul p c0.05 -> q; Add x q -> r; Mul r c0.7978845 -> s; Tanh s -> t; Add t c1 -> u; Mul x c0.5 -> h; Mul h u -> y")]
    [InlineData("Pow x c2 -> p; Mul p c0.044715 -> q; Add x q -> r; Mul r c0.7978845 -> s; Tanh s -> t; Add t c1 -> u; Mul x c0.5 -> h; Mul h u -> y")]
    [InlineData("Pow x c3 -> p; Mul p c0.044715 -> q; Add x q -> r; Mul r c0.7978845 -> s; Tanh s -> t; Add t c1 -> u; Mul x c0.5 -> h; Mul h u -> y; Neg r -> z", "z")]
    public void NotGelu(string nodes, string? second = null)
    {
        OnnxModel model = PassCase.Model(nodes, Shape, outputs: second is null ? ["y"] : ["y", second]);
        Assert.DoesNotContain(PassCase.Operators(PassCase.Check(model, null, Shape, 1e-5f)), o => o.Contains("Gelu"));
    }

    private const string Norm = "ReduceMean x -> m {axes=[-1]}; Sub x m -> d; Pow d c2 -> p; ReduceMean p -> v {axes=[-1]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; ";

    [Theory]
    [InlineData(Norm + "Mul n gamma -> g; Add g beta -> y")]
    [InlineData(Norm + "Mul gamma n -> g; Add beta g -> y")]
    [InlineData(Norm + "Mul n gamma -> y")]
    [InlineData("ReduceMean x -> m {axes=[2]}; Sub x m -> d; Sub x m -> d2; Mul d d -> p; ReduceMean p -> v {axes=[2]}; Add v c0.00001 -> e; Sqrt e -> s; Div d2 s -> n; Mul n gamma -> g; Add g beta -> y")]
    public void LayerNormalization(string nodes)
    {
        TensorProto[] constants = [TestModels.Weight("gamma", 1, 5), TestModels.Weight("beta", 2, 5)];
        foreach (int opset in (int[])[7, 12, 17])
        {
            OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Shape, opset, constants: constants, ir: opset < 9 ? 4 : 8), null, Shape, 1e-5f);
            NodeProto node = Assert.Single(prepared.Graph.Nodes);
            Assert.Equal(("LayerNormalization", 17), (node.OpType, prepared.Opset));
            Assert.Equal(1e-5f, node.GetFloat("epsilon", 0));
        }
    }

    [Fact]
    public void LayerNormalizationOverSeveralDimensions()
    {
        TensorProto[] constants = [TestModels.Weight("gamma", 1, 3, 5), TestModels.Weight("beta", 2, 3, 5)];
        OnnxModel prepared = PassCase.Check(PassCase.Model(Norm.Replace("[-1]", "[1,2]") + "Mul n gamma -> g; Add g beta -> y", Shape, constants: constants), null, Shape, 1e-5f);
        Assert.Equal(-2, Assert.Single(prepared.Graph.Nodes).GetInt("axis", 0));
    }

    [Theory]
    // Not the last dimensions; not both over the same.
    [InlineData("ReduceMean x -> m {axes=[1]}; Sub x m -> d; Pow d c2 -> p; ReduceMean p -> v {axes=[1]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; Mul n gamma -> y")]
    [InlineData("ReduceMean x -> m {axes=[-1]}; Sub x m -> d; Pow d c2 -> p; ReduceMean p -> v {axes=[1,2]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; Mul n gamma -> y")]
    // Another power, another value, wanted elsewhere.
    [InlineData("ReduceMean x -> m {axes=[-1]}; Sub x m -> d; Pow d c4 -> p; ReduceMean p -> v {axes=[-1]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; Mul n gamma -> y")]
    [InlineData("Relu x -> z; ReduceMean z -> m {axes=[-1]}; Sub x m -> d; Pow d c2 -> p; ReduceMean p -> v {axes=[-1]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; Mul n gamma -> y")]
    [InlineData("ReduceMean x -> m {axes=[-1]}; Sub m x -> d; Pow d c2 -> p; ReduceMean p -> v {axes=[-1]}; Add v c0.00001 -> e; Sqrt e -> s; Div d s -> n; Mul n gamma -> y")]
    [InlineData(Norm + "Mul n gamma -> y; Neg m -> z", "z")]
    [InlineData(Norm + "Mul n gamma -> y; Neg v -> z", "z")]
    [InlineData(Norm + "Mul n gamma -> y; Neg d -> z", "z")]
    // A scale that is no value per element.
    [InlineData(Norm + "Mul n one -> y")]
    [InlineData(Norm + "Mul n matrix -> y")]
    public void NotLayerNormalization(string nodes, string? second = null)
    {
        TensorProto[] constants = [TestModels.Weight("gamma", 1, 5), TensorProtos.Create("one", [2f], [1]), TestModels.Weight("matrix", 3, 3, 5)];
        OnnxModel model = PassCase.Model(nodes, Shape, outputs: second is null ? ["y"] : ["y", second], constants: constants);
        Assert.DoesNotContain("LayerNormalization", PassCase.Operators(PassCase.Check(model, null, Shape, 1e-5f)));
    }

    /// <summary>Only where the reciprocal is exact, and the division is by a constant.</summary>
    [Theory]
    [InlineData("Div x c8 -> y", true)]
    [InlineData("Div x c-0.25 -> y", true)]
    [InlineData("Div x c3 -> y", false)]
    [InlineData("Div c8 x -> y", false)]
    public void DivisionsByPowersOfTwoAreProducts(string nodes, bool fits)
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, [2, 3, 4]), new DivisionIsProduct(), [2, 3, 4], tolerance: 0);
        Assert.Equal([fits ? "Mul" : "Div"], PassCase.Operators(prepared));
    }

    /// <summary>Operator sets from 7 on; with constants and with one value twice; the values between are new ones.</summary>
    [Theory]
    [InlineData("Abs x -> a; Sum a x -> y", 7, "Abs Add")]
    [InlineData("Neg x -> a; Abs x -> b; Sum x b a -> y", 8, "Neg Abs Add Add")]
    [InlineData("Abs x -> a; Exp a -> y_of_2; Sum a x c2 a -> y; Neg y_of_2 -> z", 17, "Abs Exp Neg Add Add Add")]
    [InlineData("Abs x -> a; Sum a -> b; Neg b -> y", 13, "Abs Neg")]
    public void SumsAreAdditions(string nodes, int opset, string expected)
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Shape, opset, nodes.Contains("-> z") ? ["y", "z"] : ["y"], ir: opset < 9 ? 4 : 8), null, Shape, 0);
        Assert.Equal(expected.Split(' ').Order(), PassCase.Operators(prepared).Order());
    }

    [Theory]
    [InlineData("ReduceMean x -> y {axes=[2,3]}", 13, "GlobalAveragePool")]
    [InlineData("ReduceMean x -> y {axes=[-1,-2] keepdims=0}", 11, "GlobalAveragePool Flatten")]
    [InlineData("ReduceMean x spatial -> y {keepdims=0}", 18, "GlobalAveragePool Flatten")]
    [InlineData("Unsqueeze x last -> v; ReduceMean v -> y {axes=[4,2,3]}", 13, "Unsqueeze GlobalAveragePool")]
    [InlineData("ReduceMean x -> y {axes=[3]}", 13, "ReduceMean")]
    [InlineData("ReduceMean x -> y {axes=[1,2]}", 13, "ReduceMean")]
    [InlineData("ReduceMean x -> y", 13, "ReduceMean")]
    public void SpatialMeansArePools(string nodes, int opset, string expected)
    {
        TensorProto[] constants = nodes.Contains("spatial") ? [TensorProtos.Create("spatial", [-1L, 2L], [2])] : nodes.Contains("last") ? [TensorProtos.Create("last", [4L], [1])] : [];
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, [2, 3, 5, 7], opset, constants: constants), null, [2, 3, 5, 7]);
        Assert.Equal(expected.Split(' '), PassCase.Operators(prepared));
    }

    /// <summary>Nothing of it is left to ONNX Runtime, and ties of the mean are its ties.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("onnxruntime")]
    public void SqueezeAndExcitationIsIntegers(string preset)
    {
        OnnxModel model = PassCase.Model("Conv x w -> a; Relu a -> b; ReduceMean b -> c {axes=[2,3]}; Conv c v -> d; Sigmoid d -> e; Mul b e -> f; ReduceMean f -> g {axes=[2,3] keepdims=0}; MatMul g u -> y",
            [2, 3, 13, 13], constants: [TestModels.Weight("w", 1, 32, 3, 2, 2), TestModels.Weight("v", 2, 32, 32, 1, 1), TestModels.Weight("u", 3, 32, 8)]);
        Tensor x = TestModels.Random(4, 8, 3, 13, 13);
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Empty(graph.FloatNodes);
        OnnxModel file = QdqExporter.Export(graph).Model;
        using OnnxRuntimeSession session = new(file);
        using ModelPlan plan = new(file);
        Assert.Equal(0, plan.FloatIslandCount);
        Assert.Equal(session.Run(x)["y"].ToArray(), ((Tensor)plan.Run(x)["y"]).ToArray());
    }
}
