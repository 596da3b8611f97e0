using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>Factors per channel pass from one depthwise convolution to the next through what is homogeneous, and through nothing else.</summary>
public class ChannelTiesTests
{
    private const int Channels = 8;

    /// <summary>What stands between the values "a" (and "b", both of depthwise convolutions whose channels are up to 2^9 apart) and the convolution that takes "t".</summary>
    private static readonly Dictionary<string, (NodeProto[] Nodes, TensorProto[] Constants, int Taken)> Between = new()
    {
        ["Relu"] = One(Nodes.Create("Relu", "op", ["a"], ["t"])),
        ["LeakyRelu"] = One(Nodes.Create("LeakyRelu", "op", ["a"], ["t"])),
        ["PRelu"] = One(Nodes.Create("PRelu", "op", ["a", "slope"], ["t"]), TensorProtos.Create("slope", TestModels.Random(30, Channels, 1, 1))),
        ["Clip"] = One(Nodes.Create("Clip", "op", ["a", "zero", "six"], ["t"]), Scalar("zero", 0), Scalar("six", 6)),
        ["Clip on both sides"] = One(Nodes.Create("Clip", "op", ["a", "low", "six"], ["t"]), Scalar("low", -4), Scalar("six", 6)),
        ["Clip behind a sum"] = ([Nodes.Create("Add", "sum", ["a", "b"], ["s"]), Nodes.Create("Clip", "op", ["s", "zero", "six"], ["t"])], [Scalar("zero", 0), Scalar("six", 6)], Channels),
        ["MaxPool"] = One(Nodes.Create("MaxPool", "op", ["a"], ["t"], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("pads", [1, 1, 0, 0]))),
        ["AveragePool"] = One(Nodes.Create("AveragePool", "op", ["a"], ["t"], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("pads", [1, 1, 0, 0]))),
        ["GlobalAveragePool"] = One(Nodes.Create("GlobalAveragePool", "op", ["a"], ["t"])),
        ["ReduceMean"] = One(Nodes.Create("ReduceMean", "op", ["a"], ["t"], Nodes.Attribute("axes", [2, -1]))),
        ["Resize"] = One(Nodes.Create("Resize", "op", ["a", "", "scales"], ["t"], Nodes.Attribute("mode", "nearest")), TensorProtos.Create("scales", [1f, 1, 2, 2], [4])),
        ["Pad"] = One(Nodes.Create("Pad", "op", ["a", "pads"], ["t"]), TensorProtos.Create("pads", [0L, 0, 1, 1, 0, 0, 1, 1], [8])),
        ["Pad of channels"] = ([Nodes.Create("Pad", "op", ["a", "pads"], ["t"])], [TensorProtos.Create("pads", [0L, 1, 0, 0, 0, 3, 0, 0], [8])], Channels + 4),
        ["Add"] = One(Nodes.Create("Add", "op", ["a", "b"], ["t"])),
        ["Sub"] = One(Nodes.Create("Sub", "op", ["a", "b"], ["t"])),
        ["Concat"] = ([Nodes.Create("Concat", "op", ["a", "b"], ["t"], Nodes.Attribute("axis", 1L))], [], 2 * Channels),
        ["Concat from behind"] = ([Nodes.Create("Concat", "op", ["a", "b"], ["t"], Nodes.Attribute("axis", -3L))], [], 2 * Channels),
        ["Split"] = (
            [
                Nodes.Create("Split", "op", ["a", "parts"], ["p", "q"], Nodes.Attribute("axis", 1L)), Nodes.Create("Relu", "rp", ["p"], ["r"]),
                Nodes.Create("Concat", "join", ["q", "r"], ["t"], Nodes.Attribute("axis", 1L)),
            ], [TensorProtos.Create("parts", [3L, 5], [2])], Channels),
        ["gate"] = One(Nodes.Create("GlobalAveragePool", "mean", ["b"], ["m"]), Nodes.Create("Conv", "fc", ["m", "fcw"], ["f"]), Nodes.Create("HardSigmoid", "gate", ["f"], ["g"]),
            Nodes.Create("Mul", "op", ["g", "a"], ["t"]), TestModels.Weight("fcw", 31, Channels, Channels, 1, 1)),

        // Through these nothing passes.
        ["-Softmax"] = One(Nodes.Create("Softmax", "op", ["a"], ["t"], Nodes.Attribute("axis", 1L))),
        ["-Exp"] = One(Nodes.Create("Exp", "op", ["a"], ["t"])),
        ["-Clip above zero"] = One(Nodes.Create("Clip", "op", ["a", "zero", "six"], ["t"]), Scalar("zero", 0.25f), Scalar("six", 6)),
        ["-product"] = One(Nodes.Create("Mul", "op", ["a", "b"], ["t"])),
        ["-Pad by 1"] = One(Nodes.Create("Pad", "op", ["a", "pads", "one"], ["t"]), TensorProtos.Create("pads", [0L, 0, 1, 1, 0, 0, 1, 1], [8]), Scalar("one", 1)),
        ["-Add of a constant"] = One(Nodes.Create("Add", "op", ["a", "k"], ["t"]), TestModels.Weight("k", 32, 1, Channels, 6, 6)),
        ["-Transpose"] = One(Nodes.Create("Transpose", "op", ["a"], ["t"], Nodes.Attribute("perm", [0, 1, 3, 2]))),
        ["-Concat of lines"] = One(Nodes.Create("Concat", "op", ["a", "b"], ["t"], Nodes.Attribute("axis", 2L))),
    };

    public static TheoryData<string> Cases => [.. Between.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void FactorsPassWhereTheOperatorIsHomogeneous(string name)
    {
        (OnnxModel model, Tensor x) = Model(name);
        CalibrationData calibration = Calibrate(model, x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration);
        bool changed = !Weights(graph.Float, "w1").SequenceEqual(Weights(calibration.Model, "w1"));
        Assert.Equal(!name.StartsWith('-'), changed);
        Assert.Equal(changed, graph.Float.Preparation.Any(p => p.Name == nameof(ChannelEqualization)));
        using OnnxRuntimeSession before = new(model), after = new(graph.Float);
        float[] expected = before.Run(x)["y"].ToArray();
        Assert.All(expected.Zip(after.Run(x)["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1e-4f * expected.Max(MathF.Abs)));
        if (!changed)
            return;
        QuantizedGraph plain = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false, FitWeightScales = true });
        Assert.InRange(Sqnr(graph), Sqnr(plain) + 3, 100);

        double Sqnr(QuantizedGraph quantized)
        {
            using Int8Plan plan = new(quantized);
            ErrorSums sums = new();
            sums.Add(expected, plan.Run(x).Outputs["y"].Span, "y");
            return sums.SqnrDb;
        }
    }

    /// <summary>A channel that was seen at the limit of a ReLU6 stays as it is; one that was seen at half of it takes a factor of a half or more, so that what calibration saw is
    /// not cut off.</summary>
    [Fact]
    public void AClipCutsOffNothingThatWasSeen()
    {
        (OnnxModel model, Tensor x) = Model("Clip");
        CalibrationData calibration = Calibrate(model, x);
        OnnxModel equalized = ModelQuantizer.Quantize(calibration).Float;
        float[] factors = [.. Weights(calibration.Model, "w1").Zip(Weights(equalized, "w1")).Chunk(9).Select(c => c[4].First / c[4].Second)];
        float[] most = calibration.Channels["t"].MaxValues.ToArray();
        Assert.Contains(6f, most);
        Assert.All(factors.Zip(most), c => Assert.InRange(c.Second / c.First, 0, 6.0001f));
        Assert.All(factors.Zip(most).Where(c => c.Second == 6), c => Assert.Equal(1, c.First, 1e-6f));
        Assert.Contains(factors, f => f < 0.2f);
    }

    /// <summary>What the user said of a value or weight leaves its channels, and all that would be scaled with them, as they are.</summary>
    [Theory]
    [InlineData("a")]
    [InlineData("t")]
    [InlineData("w1")]
    public void OverriddenTensorsAreNotScaled(string tensor)
    {
        (OnnxModel model, Tensor x) = Model("Add");
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate(model, x), options: new() { Tensors = new Dictionary<string, TensorOverride> { [tensor] = new() { Symmetric = true } } });
        Assert.DoesNotContain(graph.Float.Preparation, p => p.Name == nameof(ChannelEqualization));
    }

    private static (NodeProto[], TensorProto[], int) One(params object[] parts) => ([.. parts.OfType<NodeProto>()], [.. parts.OfType<TensorProto>()], Channels);

    private static TensorProto Scalar(string name, float value) => TensorProtos.Create(name, [value], []);

    private static CalibrationData Calibrate(OnnxModel model, Tensor x)
    {
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(x);
        return calibrator.Finish();
    }

    /// <summary>The weight of the layer that was made with this one, whatever rewriting called it.</summary>
    private static float[] Weights(OnnxModel model, string name) =>
        model.Graph.ConstantInput(model.Graph.Nodes.Single(n => n.Input.Count > 1 && (n.Input[1] == name || n.Input[1].StartsWith(name + "_", StringComparison.Ordinal))), 1)!.ToFloats();

    private static (OnnxModel Model, Tensor X) Model(string name)
    {
        (NodeProto[] nodes, TensorProto[] constants, int taken) = Between[name];
        // Channel by channel the convolution behind makes up for the spread of the one before, so that all count alike at the end.
        Tensor last = TestModels.Random(8, 4, taken, 1, 1);
        for (int i = 0; i < last.Length; i++)
            last.Span[i] *= MathF.Pow(2, (i % taken - (name == "Pad of channels" ? 1 : 0) + 8) % 4 * 3);
        OnnxModel model = TestModels.Graph(["N", Channels, 8, 8],
            [
                Nodes.Create("Conv", "first", ["x", "w1"], ["a"], Nodes.Attribute("group", (long)Channels)),
                .. nodes.Any(n => n.Input.Contains("b")) ? [Nodes.Create("Conv", "second", ["x", "w2"], ["b"], Nodes.Attribute("group", (long)Channels))] : Array.Empty<NodeProto>(),
                .. nodes, Nodes.Create("Conv", "last", ["t", "w3"], ["y"]),
            ],
            [Spread("w1", 6, 1), Spread("w2", 7, 0.4f), .. constants, TensorProtos.Create("w3", last)], ["y"], opset: 13);
        return (model, TestModels.Random(20, 4, Channels, 8, 8));

        static TensorProto Spread(string name, int seed, float size)
        {
            Tensor weight = TestModels.Random(seed, Channels, 1, 3, 3);
            for (int i = 0; i < weight.Length; i++)
                weight.Span[i] = size * (weight.Span[i] + 3) * MathF.Pow(2, -(i / 9 % 4) * 3);
            return TensorProtos.Create(name, weight);
        }
    }
}
