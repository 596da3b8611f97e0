using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Runtime;

/// <summary>Small layers between float parts are ONNX Runtime's where a model falls into many parts; large ones, and those before the first and behind the last part, stay this module's.</summary>
public class IslandJoiningTests
{
    private static readonly (bool IsPart, double SavedUs)[] Many = [(false, 1), (true, 0), (false, 1), (true, 0), (false, 30), (true, 0), (false, 3), (false, 4), (true, 0), (false, 19), (true, 0), (false, 2)];

    [Fact]
    public void SmallGroupsBetweenPartsAreFound()
    {
        (int, bool IsPart, double SavedUs)[] groups = [.. Many.Select((g, i) => (i, g.IsPart, g.SavedUs))];
        Assert.Equal([2, 6, 7, 9], IslandJoining.Find(groups, g => g.IsPart, g => g.SavedUs, goesOn: false).Select(g => g.Item1));
        // Two joints are not worth it, unless there were others before.
        Assert.Empty(IslandJoining.Find(groups[2..], g => g.IsPart, g => g.SavedUs, goesOn: false));
        Assert.Equal([6, 7, 9], IslandJoining.Find(groups[2..], g => g.IsPart, g => g.SavedUs, goesOn: true).Select(g => g.Item1));
        Assert.Empty(IslandJoining.Find(groups[..2], g => g.IsPart, g => g.SavedUs, goesOn: true));
    }

    /// <summary>The result is what ONNX Runtime makes of the file, with integers where it has integers.</summary>
    /// <param name="parts">Arcus tangents between convolutions, which nothing but ONNX Runtime has.</param>
    /// <param name="size">Height and width of the images.</param>
    /// <param name="integers">Operator form.</param>
    /// <param name="left">Float parts that are left.</param>
    [Theory]
    [InlineData(2, 8, false, 2)]
    [InlineData(6, 8, false, 1)]
    [InlineData(6, 8, true, 1)]
    [InlineData(6, 96, false, 6)]
    public void NetworksOfManyParts(int parts, int size, bool integers, int left)
    {
        List<NodeProto> nodes = [Nodes.Create("Conv", "conv0", ["x", "w0"], ["c0"])];
        for (int i = 1; i <= parts; i++)
            nodes.AddRange([Nodes.Create("Atan", $"atan{i}", [$"c{i - 1}"], [$"s{i}"]), Nodes.Create("Conv", $"conv{i}", [$"s{i}", $"w{i}"], [$"c{i}"], Nodes.Attribute("pads", [1, 1, 1, 1]))]);
        OnnxModel model = TestModels.Graph(["N", 4, size, size], nodes, [TestModels.Weight("w0", 50, 16, 4, 1, 1), .. Enumerable.Range(1, parts).Select(i => TestModels.Weight($"w{i}", i, 16, 16, 3, 3))], [$"c{parts}"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(TestModels.Random(1, 2, 4, size, size));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        OnnxModel file = (integers ? QOperatorExporter.Export(graph) : QdqExporter.Export(graph)).Model;
        using ModelPlan plan = new(file);
        Assert.Equal(left, plan.FloatIslandCount);
        // The first and the last convolution stay in any case.
        Assert.Equal(left == 1 ? 2 : parts + 1, plan.Layers.Count(l => l.IsInteger && l.OpType is "Conv" or "QLinearConv"));
        Assert.Equal(left == 1 ? parts - 1 : 0, plan.Layers.Count(l => !l.IsInteger && l.OpType is "Conv" or "QLinearConv"));
        using OnnxRuntimeSession session = new(file);
        for (int run = 0; run < 3; run++)
        {
            Tensor x = TestModels.Random(10 + run, 2, 4, size, size);
            float[] theirs = session.Run(x)[$"c{parts}"].ToArray(), ours = ((Tensor)plan.Run(x)[$"c{parts}"]).ToArray();
            Assert.InRange(theirs.Zip(ours).Count(v => v.First != v.Second), 0, theirs.Length / 500);
        }
    }
}
