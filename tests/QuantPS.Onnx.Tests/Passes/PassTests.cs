using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;

namespace QuantPS.Onnx.Tests.Passes;

public class PassTests
{
    private static readonly TensorProto[] Normalization =
    [
        TensorProtos.Create("gamma", [1.25f, -0.75f], [2]), TensorProtos.Create("beta", [0.1f, -3f], [2]),
        TensorProtos.Create("mean", [0.3f, 0.7f], [2]), TensorProtos.Create("var", [2.1f, 0.013f], [2]),
    ];

    /// <summary>float32 values computed by PyTorch 1.13, torch.nn.utils.fusion.fuse_conv_bn_weights, on these parameters, as bits.</summary>
    [Theory]
    [InlineData(false, new uint[] { 0x3edcd209, 0xbf932d44, 0xbfd269bc, 0xc0d269bc }, new uint[] { 0xbe2295a6, 0x3fcd280c })]
    [InlineData(true, new uint[] { 0x3edcd209, 0xbf932d44, 0xbfd269bc, 0xc0d269bc }, new uint[] { 0x3e8b8736, 0x3e934de0 })]
    public void FoldsWithPyTorchsBits(bool bias, uint[] weightBits, uint[] biasBits)
    {
        (Tensor w, float[] b) = FoldBatchNormalization.Fold(new Tensor([2, 2], new float[] { 0.5f, -1.333f, 0.25f, 1f }), bias ? [0.5f, 0.2f] : null, [1.25f, -0.75f], [0.1f, -3f], [0.3f, 0.7f], [2.1f, 0.013f], 1e-5f);
        Assert.Equal(weightBits, w.ToArray().Select(BitConverter.SingleToUInt32Bits));
        Assert.Equal(biasBits, b.Select(BitConverter.SingleToUInt32Bits));
    }

    [Theory]
    [InlineData("fmnist-resnet8-bn", "fmnist-resnet8")]
    [InlineData("fmnist-mobile-bn", "fmnist-mobile")]
    public void FoldedNetworkEqualsTheExportersFolding(string network, string folded)
    {
        OnnxModel original = TestData.Network(network);
        byte[] before = original.ToBytes();
        OnnxModel model = PassRegistry.Apply(original);
        Assert.Equal(before, original.ToBytes());
        Assert.DoesNotContain(model.Graph.Nodes, n => n.OpType is "BatchNormalization" or "Identity");
        Tensor x = TestData.Batches(TestData.TestImages, 64).First();
        using OnnxRuntimeSession a = new(model), b = new(TestData.Network(folded)), c = new(original);
        float[] y = a.Run(x)["logits"].ToArray();
        Assert.Equal(b.Run(x)["logits"].ToArray(), y, (p, q) => Math.Abs(p - q) < 1e-4f);
        Assert.Equal(c.Run(x)["logits"].ToArray(), y, (p, q) => Math.Abs(p - q) < 1e-4f);
        // No float parameter of the normalizations is left over.
        Assert.Equal(TestData.Network(folded).Proto.Graph.Initializer.Count, model.Proto.Graph.Initializer.Count);
    }

    [Fact]
    public void NotFoldedWhenTheConvolutionIsUsedElsewhere()
    {
        OnnxModel shared = Graph(["x", "w"], ["y", "h"]), second = Graph(["x", "w"], ["y"], Nodes.Create("Relu", "r", ["h"], ["z"]));
        Assert.Equal(0, new FoldBatchNormalization().Apply(shared));
        Assert.Equal(0, new FoldBatchNormalization().Apply(second));
        OnnxModel alone = Graph(["x", "w"], ["y"]);
        Assert.Equal(1, new FoldBatchNormalization().Apply(alone));
        Assert.Single(alone.Graph.Nodes);
    }

    [Fact]
    public void NotFoldedInTrainingModeOrWithoutConvolution()
    {
        OnnxModel training = Graph(["x", "w"], ["y"]);
        training.Proto.Graph.Node[1].Attribute.Add(Nodes.Attribute("training_mode", 1L));
        Assert.Equal(0, new FoldBatchNormalization().Apply(training));
        OnnxModel lone = TestModels.Graph(["N", 2, 4, 4], [Nodes.Create("BatchNormalization", "bn", ["x", "gamma", "beta", "mean", "var"], ["y"])], Normalization, ["y"]);
        Assert.Equal(0, new FoldBatchNormalization().Apply(lone));
    }

    [Fact]
    public void IdentityAndDropoutGoButOutputsKeepTheirNames()
    {
        OnnxModel model = TestModels.Graph(["N", 4],
            [Nodes.Create("Identity", "i", ["x"], ["a"]), Nodes.Create("Dropout", "d", ["a"], ["b"]), Nodes.Create("Relu", "r", ["b"], ["c"]), Nodes.Create("Identity", "o", ["c"], ["y"])], [], ["y"]);
        Assert.Equal(2, new RemoveIdentity().Apply(model));
        Assert.Equal(["Relu", "Identity"], model.Graph.Nodes.Select(n => n.OpType));
        using OnnxRuntimeSession session = new(model);
        Assert.Equal([0, 1, 0, 2], session.Run(new Tensor([1, 4], new float[] { -1, 1, -2, 2 }))["y"].ToArray());
    }

    private static OnnxModel Graph(string[] inputs, string[] outputs, params NodeProto[] more) => TestModels.Graph(["N", 3, 4, 4],
        [Nodes.Create("Conv", "c", inputs, ["h"]), Nodes.Create("BatchNormalization", "bn", ["h", "gamma", "beta", "mean", "var"], ["y"]), .. more],
        [.. Normalization, TestModels.Weight("w", 1, 2, 3, 1, 1)], outputs);
}
