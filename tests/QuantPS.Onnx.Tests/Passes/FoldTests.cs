using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Passes;

public class FoldTests
{
    private static readonly int[] Image = [2, 4, 6, 6];

    private static TensorProto[] Constants =>
    [
        TestModels.Weight("w", 1, 8, 2, 3, 3), TestModels.Weight("w1", 11, 6, 4, 1, 1), TestModels.Weight("wt", 2, 4, 3, 2, 2), TestModels.Weight("bias6", 3, 6), TestModels.Weight("bias8", 4, 8),
        TestModels.Weight("c4", 5, 1, 4, 1, 1), TestModels.Weight("c6", 6, 6, 1, 1), TestModels.Weight("c8", 7, 1, 8, 1, 1), TestModels.Weight("pixels", 8, 1, 1, 4, 4),
        TestModels.Weight("v4", 15, 4), TestModels.Weight("v6", 16, 6), TensorProtos.Create("two", [2f], [1]),
        .. Normalization("4", 4), .. Normalization("6", 6), .. Normalization("8", 8),
        TestModels.Weight("m", 20, 4, 6), TestModels.Weight("mt", 21, 6, 4), TestModels.Weight("row", 22, 1, 6), TestModels.Weight("table", 23, 2, 6),
    ];

    [Theory]
    [InlineData("Conv x w -> a {group=2}; BatchNormalization a g8 b8 m8 s8 -> y", "Conv")]
    [InlineData("Conv x w bias8 -> a {group=2 pads=[1,1,1,1]}; BatchNormalization a g8 b8 m8 s8 -> y {epsilon=0.01}", "Conv")]
    [InlineData("ConvTranspose x wt -> a {group=2 strides=[2,2]}; BatchNormalization a g6 b6 m6 s6 -> y", "ConvTranspose")]
    [InlineData("ConvTranspose x wt bias6 -> a {group=2}; Mul a c6 -> b; Add b c6 -> c; BatchNormalization c g6 b6 m6 s6 -> y", "ConvTranspose")]
    [InlineData("Conv x w -> a {group=2}; Mul a c8 -> b; Add b c8 -> y", "Conv")]
    [InlineData("Conv x w bias8 -> a {group=2}; Mul two a -> b; Sub b c8 -> c; Div c c8 -> d; Identity d -> e; Add e two -> y", "Conv")]
    // Into the layer behind.
    [InlineData("Relu x -> r; BatchNormalization r g4 b4 m4 s4 -> a; Conv a w -> y {group=2}", "Relu Conv")]
    [InlineData("Relu x -> r; Mul r c4 -> a; Conv a w -> y {group=2 pads=[1,1,1,1]}", "Relu Conv")]
    [InlineData("Relu x -> r; Mul r two -> a; Sub a c4 -> b; Conv b w bias8 -> y {group=2}", "Relu Conv")]
    [InlineData("Sub x c4 -> a; Div a two -> b; Conv b w1 -> y", "Conv")]
    public void IntoConvolutions(string nodes, string left) =>
        Assert.Equal(left, string.Join(" ", PassCase.Operators(PassCase.Check(PassCase.Model(nodes, Image, constants: Constants), null, Image, 5e-6f))));

    [Theory]
    // Padding would no longer be zero.
    [InlineData("Relu x -> r; BatchNormalization r g4 b4 m4 s4 -> a; Conv a w -> y {group=2 pads=[0,0,1,1]}", "BatchNormalization")]
    [InlineData("Relu x -> r; Add r c4 -> a; Conv a w -> y {group=2 auto_pad=SAME_UPPER}", "Add")]
    // A constant per pixel, or with more dimensions.
    [InlineData("Conv x w -> a {group=2}; Mul a pixels -> y", "Mul")]
    [InlineData("Conv x w -> a {group=2}; Add a pixels -> y", "Add")]
    // What is divided is the constant.
    [InlineData("Conv x w -> a {group=2}; Exp a -> e; Div c8 e -> y", "Div")]
    // Wanted elsewhere too.
    [InlineData("Conv x w -> a {group=2}; Mul a c8 -> y; Neg a -> z", "Mul", "z")]
    [InlineData("Conv x w -> a {group=2}; BatchNormalization a g8 b8 m8 s8 -> y; Neg a -> z", "BatchNormalization", "z")]
    [InlineData("Relu x -> r; Mul r c4 -> a; Conv a w -> y {group=2}; Neg a -> z", "Mul", "z")]
    public void NotIntoConvolutions(string nodes, string stays, string? second = null)
    {
        OnnxModel model = PassCase.Model(nodes, Image, outputs: second is null ? ["y"] : ["y", second], constants: Constants);
        Assert.Contains(stays, PassCase.Operators(PassCase.Check(model, null, Image, 1e-5f)));
    }

    /// <summary>A constant per channel makes four channels of one here.</summary>
    [Fact]
    public void BroadcastingFactorIsNotFolded()
    {
        int[] shape = [2, 1, 6, 6];
        Assert.Equal(["Mul", "Conv"], PassCase.Operators(PassCase.Check(PassCase.Model("Mul x c4 -> a; Conv a w -> y {group=2}", shape, constants: Constants), null, shape)));
    }

    [Theory]
    [InlineData("MatMul x m -> a; Add a v6 -> y", "Gemm")]
    [InlineData("MatMul x m -> a; Mul a v6 -> b; Add row b -> y", "Gemm")]
    [InlineData("MatMul x m -> a; Mul a v6 -> y", "MatMul")]
    [InlineData("Gemm x mt v6 -> a {transB=1}; BatchNormalization a g6 b6 m6 s6 -> y", "Gemm")]
    [InlineData("Gemm x m two -> a; Div a v6 -> b; Sub b two -> y", "Gemm")]
    [InlineData("MatMul x m -> a; BatchNormalization a g6 b6 m6 s6 -> y", "Gemm")]
    [InlineData("Mul x v4 -> a; Add a v4 -> b; Gemm b mt -> y {transB=1}", "Gemm")]
    [InlineData("Relu x -> r; BatchNormalization r g4 b4 m4 s4 -> a; MatMul a m -> y", "Relu Gemm")]
    [InlineData("Gemm x m v6 -> a {alpha=0.5}; Mul a v6 -> y", "Gemm")]
    [InlineData("Gemm x m table -> a; Mul a v6 -> y", "Gemm Mul")]
    [InlineData("MatMul x m -> a; Add a table -> y", "MatMul Add")]
    public void IntoMatrixProducts(string nodes, string left) => Assert.Equal(left,
        string.Join(" ", PassCase.Operators(PassCase.Check(PassCase.Model(nodes, [2, 4], constants: Constants), null, [2, 4], 5e-6f))));

    /// <summary>Gemm takes plain matrices only.</summary>
    [Fact]
    public void StacksOfMatricesKeepTheirBias()
    {
        int[] shape = [2, 3, 4];
        Assert.Equal(["MatMul", "Add"], PassCase.Operators(PassCase.Check(PassCase.Model("MatMul x m -> a; Add a v6 -> y", shape, constants: Constants), null, shape)));
        Assert.Equal(["MatMul"], PassCase.Operators(PassCase.Check(PassCase.Model("MatMul x m -> a; Mul a v6 -> y", shape, constants: Constants), null, shape)));
        Assert.Equal(["MatMul"], PassCase.Operators(PassCase.Check(PassCase.Model("Mul x v4 -> a; MatMul a m -> y", shape, constants: Constants), null, shape)));
    }

    /// <summary>Weights that another node uses too stay as they are for that one.</summary>
    [Fact]
    public void SharedWeightsAreCopied()
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model("Conv x w -> a {group=2}; Mul a two -> b; Conv x w -> c {group=2}; Add b c -> y", Image, constants: Constants), null, Image);
        Assert.Equal(["Conv", "Conv", "Add"], PassCase.Operators(prepared));
        Assert.NotNull(prepared.Graph.Constant("w"));
    }

    /// <summary>float32 values computed by PyTorch 1.13, torch.nn.utils.fusion.fuse_linear_bn_weights, as bits.</summary>
    [Fact]
    public void MatrixFoldsWithPyTorchsBits()
    {
        (Tensor w, float[] b) = FoldBatchNormalization.Fold(new Tensor([2, 2], new float[] { 0.5f, -1.333f, 0.25f, 1f }), [0.5f, 0.2f],
            [1.25f, -0.75f], [0.1f, -3f], [0.3f, 0.7f], [2.1f, 0.013f], 1e-5f, convolution: false);
        Assert.Equal(LinearWeightBits, w.ToArray().Select(BitConverter.SingleToUInt32Bits));
        Assert.Equal(LinearBiasBits, b.Select(BitConverter.SingleToUInt32Bits));
    }

    private static readonly uint[] LinearWeightBits = [0x3edcd209, 0xbf932d44, 0xbfd269bc, 0xc0d269bc], LinearBiasBits = [0x3e8b8737, 0x3e934de0];

    [Theory]
    [InlineData("Add c2 c3 -> a; Mul x a -> y", "Mul")]
    [InlineData("Transpose m -> t {perm=[1,0]}; Cast t -> d {to=11}; Cast d -> f {to=1}; MatMul x f -> y", "MatMul")]
    [InlineData("Split v6 -> p q r; Add p q -> s; Concat s r -> t {axis=0}; Mul x t -> y", "Mul")]
    [InlineData("Shape x -> s; ConstantOfShape three -> k; Add k c2 -> l; Mul x l -> y", "Mul")]
    public void ConstantsAreComputed(string nodes, string left)
    {
        TensorProto[] constants = [.. Constants, TensorProtos.Create("three", [1L], [1])];
        int[] shape = left == "MatMul" ? [2, 6] : [2, 4];
        if (nodes.StartsWith("Split"))
            shape = [3, 4];
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, shape, 13, constants: constants), null, shape);
        Assert.Equal(left, Assert.Single(PassCase.Operators(prepared), o => o != "Shape"));
    }

    [Fact]
    public void NotComputedIsWhatIsRandomLargeOrQuantized()
    {
        TensorProto size = TensorProtos.Create("size", [1L, 4096, 1024], [3]), i8 = TensorProtos.Create("i8", DataType.Int8, new byte[] { 1, 2, 0xff, 4 }, [4]),
            zero = TensorProtos.Create("zero", DataType.Int8, new byte[] { 0 }, []);
        OnnxModel model = PassCase.Model("RandomNormalLike v4 -> r {seed=1.0}; DequantizeLinear i8 c0.5 zero -> d; ConstantOfShape size -> big; ReduceSum big -> s {keepdims=0}; "
            + "Add x d -> a; Add a s -> y; Add x r -> z", [2, 4], 13, ["y", "z"], [.. Constants, size, i8, zero]);
        OnnxModel prepared = PassRegistry.Apply(model);
        Assert.Contains("RandomNormalLike", PassCase.Operators(prepared));
        Assert.Contains("DequantizeLinear", PassCase.Operators(prepared));
        // 16 MB are computed, but only their sum is kept.
        Assert.DoesNotContain("ReduceSum", PassCase.Operators(prepared));
        Assert.InRange(prepared.SizeBytes, 0, 5000);
        model = PassCase.Model("ConstantOfShape size -> big; Add x big -> a; ReduceSum a -> y", [1, 1, 1024], 13, ["y"], [size]);
        Assert.Contains("ConstantOfShape", PassCase.Operators(PassRegistry.Apply(model)));
    }

    [Theory]
    [InlineData("Shape x -> s; Gather s i0 -> n; Unsqueeze n ax -> u; Concat u minus -> t {axis=0}; Reshape x t -> y", "Reshape", new long[] { 0, -1 })]
    [InlineData("Shape x -> s; Slice s i0v i2v -> n; Concat n minus -> t {axis=0}; Reshape x t -> y", "Reshape", new long[] { 0, 4, -1 })]
    [InlineData("Shape x -> s; Cast s -> c {to=6}; Slice c i0v i1v -> n; Cast n -> l {to=7}; Concat l i144 -> t {axis=0}; Reshape x t -> y", "Reshape", new long[] { 0, 144 })]
    [InlineData("Shape x -> s; Slice s i0v i1v -> n; Mul n i2v -> h; Concat h i72 -> t {axis=0}; Reshape x t -> y", "Reshape", new long[] { -1, 72 })]
    [InlineData("Transpose x -> z {perm=[1,0,2,3]}; Shape x -> s; Slice s i0v i1v -> n; Concat i4 n minus -> t {axis=0}; Reshape z t -> y", "Transpose Reshape", new long[] { 4, 0, -1 })]
    [InlineData("Shape x -> s {start=1 end=3}; Concat minus s -> t {axis=0}; Reshape x t -> y", "Reshape", new long[] { -1, 4, 6 })]
    public void ShapesBecomeConstants(string nodes, string left, long[] target)
    {
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, Image, 15, constants: Integers), null, Image);
        Assert.Equal(left, string.Join(" ", PassCase.Operators(prepared)));
        Assert.Equal(target, prepared.Graph.ConstantInput(prepared.Graph.Nodes.Last(n => n.OpType == "Reshape"), 1)!.ToLongs());
        // Any other batch size goes on to fit.
        using OnnxRuntimeSession before = new(PassCase.Model(nodes, Image, 15, constants: Integers)), after = new(prepared);
        Tensor x = TestModels.Random(3, 4, 4, 6, 6);
        Assert.Equal(before.Run(x)["y"].ToArray(), after.Run(x)["y"].ToArray());
        Assert.Equal(before.Run(x)["y"].Shape, after.Run(x)["y"].Shape);
    }

    [Theory]
    // Two sizes that vary, of another value, or out of a value.
    [InlineData("Transpose x -> z {perm=[2,1,0,3]}; Shape x -> s; Slice s i0v i1v -> n; Concat n minus -> t {axis=0}; Reshape z t -> y")]
    [InlineData("Shape x -> s; Slice s i0v i1v -> n; Concat n n minus -> t {axis=0}; Concat x x -> w {axis=0}; Reshape w t -> y")]
    [InlineData("Cast x -> l {to=7}; ReduceMax l -> k {keepdims=0}; Mul k zero -> z; Add z i4s -> f; Unsqueeze f ax -> u; Concat u minus -> t {axis=0}; Reshape x t -> y")]
    public void ShapesThatVaryStayComputed(string nodes)
    {
        int[] shape = nodes.Contains("n n minus") ? [1, 4, 6, 6] : Image;
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, shape, 13, constants: Integers), null, shape);
        NodeProto reshape = prepared.Graph.Nodes.Last(n => n.OpType == "Reshape");
        Assert.Null(prepared.Graph.ConstantInput(reshape, 1));
    }

    [Fact]
    public void WhatDoesNothingGoes()
    {
        TensorProto wide = TensorProtos.Create("wide", [1f], [1, 1, 1]);
        OnnxModel model = PassCase.Model("Mul x c1 -> a; Add a c0 -> b; Div b c1 -> c; Sub c c0 -> d; Cast d -> e {to=1}; Dropout e -> f; Relu f -> y", [2, 4]);
        Assert.Equal(["Relu"], PassCase.Operators(PassCase.Check(model, null, [2, 4])));
        // More dimensions, another type, the other operand: these do something.
        model = PassCase.Model("Mul x wide -> a; Relu a -> b; Sub c0 b -> c; Cast c -> d {to=11}; Neg d -> e; Cast e -> f {to=1}; Relu f -> y", [2, 4], constants: [wide]);
        Assert.Equal(["Mul", "Relu", "Sub", "Cast", "Neg", "Cast", "Relu"], PassCase.Operators(PassCase.Check(model, new RemoveIdentity(), [2, 4])));
    }

    private static TensorProto[] Normalization(string suffix, int channels) =>
    [
        TestModels.Weight("g" + suffix, 30, channels), TestModels.Weight("b" + suffix, 31, channels), TestModels.Weight("m" + suffix, 32, channels),
        TensorProtos.Create("s" + suffix, TestModels.RandomVector(33, channels).Select(v => v * v + 0.1f).ToArray(), [channels]),
    ];

    private static TensorProto[] Integers =>
    [
        TensorProtos.Create("i0", [0L], []), TensorProtos.Create("ax", [0L], [1]), TensorProtos.Create("minus", [-1L], [1]), TensorProtos.Create("i0v", [0L], [1]),
        TensorProtos.Create("i1v", [1L], [1]), TensorProtos.Create("i2v", [2L], [1]), TensorProtos.Create("i4", [4L], [1]), TensorProtos.Create("i4s", [4L], []),
        TensorProtos.Create("i72", [72L], [1]), TensorProtos.Create("i144", [144L], [1]), TensorProtos.Create("zero", [0L], []),
    ];

    /// <summary>Into constants of their own, as another node takes the matrix as it is; not where what is to be scaled is computed.</summary>
    [Theory]
    [InlineData("Gemm x m b -> a {alpha=0.3 beta=2.0}; Gemm a m b -> y {transB=1}", true)]
    [InlineData("Gemm x m -> a {alpha=0.5 beta=7.0}; Gemm a m -> y", true)]
    [InlineData("Gemm x m b -> y {beta=0.0}", true)]
    [InlineData("Neg x -> n; Gemm x n -> y {alpha=0.5 transA=1}", false)]
    [InlineData("Neg x -> n; Gemm x m n -> y {beta=0.5}", false)]
    public void FactorsOfGemm(string nodes, bool folded)
    {
        TensorProto[] constants = [TestModels.Weight("m", 1, 5, 5), TestModels.Weight("b", 2, 1, 5)];
        OnnxModel prepared = PassCase.Check(PassCase.Model(nodes, [5, 5], constants: [.. constants.Where(c => nodes.Contains($" {c.Name} "))]), null, [5, 5]);
        NodeProto first = prepared.Graph.Nodes.First(n => n.OpType == "Gemm");
        Assert.Equal(folded, first.Attribute.All(a => a.Name is not ("alpha" or "beta")));
        Assert.Equal(prepared.Graph.Nodes.SelectMany(n => n.Input).Distinct().Count(i => prepared.Graph.Constant(i) is not null), prepared.Proto.Graph.Initializer.Count);
    }

    /// <summary>PyTorch's interpolate(size=...) with a batch of any size: the first sizes come from the input's shape. Not where 7 times 31 / 7 is less than 31, in float32, nor where the sizes are a region's.</summary>
    [Theory]
    [InlineData("nearest", "asymmetric", 12, 10, true)]
    [InlineData("nearest", "half_pixel", 3, 15, true)]
    [InlineData("linear", "half_pixel", 12, 10, true)]
    [InlineData("linear", "align_corners", 7, 9, true)]
    [InlineData("linear", "pytorch_half_pixel", 1, 20, true)]
    [InlineData("linear", "half_pixel", 5, 5, true)]
    [InlineData("linear", "half_pixel", 31, 5, false)]
    [InlineData("nearest", "tf_crop_and_resize", 12, 10, false)]
    public void SizesOfAResizeOfAnyBatchAreScales(string mode, string transformation, int height, int width, bool folded)
    {
        NodeProto[] nodes =
        [
            Nodes.Create("Shape", "shape", ["x"], ["all"]), Nodes.Create("Slice", "slice", ["all", "zero", "two", "zero"], ["first"]), Nodes.Create("Concat", "concat", ["first", "wanted"], ["sizes"], Nodes.Attribute("axis", 0L)),
            Nodes.Create("Resize", "resize", ["x", transformation == "tf_crop_and_resize" ? "roi" : "", "", "sizes"], ["y"], Nodes.Attribute("mode", mode), Nodes.Attribute("coordinate_transformation_mode", transformation)),
        ];
        OnnxModel model = TestModels.Graph(["N", 3, 7, 5], nodes, [TensorProtos.Create("zero", new long[] { 0 }, [1]), TensorProtos.Create("two", new long[] { 2 }, [1]),
            TensorProtos.Create("wanted", new long[] { height, width }, [2]), TensorProtos.Create("roi", [0f, 0f, 0.1f, 0.1f, 1f, 1f, 0.9f, 0.9f], [8])], ["y"]);
        OnnxModel prepared = PassCase.Check(model, new FoldShapes(), [2, 3, 7, 5], tolerance: 0);
        Assert.Equal(folded ? ["Resize"] : ["Concat", "Resize", "Shape", "Slice"], PassCase.Operators(prepared).Order());
        using OnnxRuntimeSession before = new(model), after = new(prepared);
        Tensor one = TestModels.Random(4, 1, 3, 7, 5);
        Assert.Equal(before.Run(one)["y"].ToArray(), after.Run(one)["y"].ToArray());
    }
}
