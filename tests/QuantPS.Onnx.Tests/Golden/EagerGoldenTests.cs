using System.Text.Json;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Golden;

/// <summary>48 modules of torch 1.13 from end to end: fuse, prepare, calibrate, convert, run. Here: the same layers as an ONNX model.</summary>
/// <remarks>Weights, their parameters, the kept bias and everything on the input side are equal to the last bit. The float convolution that runs during
/// calibration is ONNX Runtime's, which sums in another order than PyTorch's: the output's scale is compared to 4 units in the last place, and
/// the integers with the golden's own output parameters.</remarks>
public class EagerGoldenTests
{
    private const string File = "eager_torch113.json";
    private const int ScaleUlps = 4;

    public static TheoryData<string> Ids() => GoldenFile.Ids(File);

    [Theory, MemberData(nameof(Ids))]
    public void Equals_the_eager_module_of_torch(string id)
    {
        JsonElement c = GoldenFile.Load(File)[id];
        EngineKind engine = Enum.Parse<EngineKind>(c.GetProperty("engine").GetString()!, ignoreCase: true);
        QConfig config = Config(c, engine);
        using var calibrator = new Calibrator(Model(c), config);
        foreach (JsonElement batch in c.GetProperty("calibration").EnumerateArray())
            calibrator.Observe(batch.Tensor());
        QuantizedWeightLayer layer = Assert.Single(ModelQuantizer.Quantize(calibrator.Finish()).Layers);

        Assert.Equal(c.GetProperty("w_scale").Singles(), layer.Weight.QParams.Scales.ToArray());
        Assert.Equal(c.GetProperty("w_zp").Ints(), layer.Weight.QParams.ZeroPoints.ToArray());
        Assert.Equal(c.GetProperty("w_int").Elements<sbyte>(), (sbyte[])layer.Weight.IntRepr());
        // torch's quantized modules make a bias of zeros where the float module has none; here there is none, which adds the same.
        Assert.Equal(c.GetProperty("q_bias").Elements<float>(), layer.Bias ?? new float[layer.OutputChannels]);
        Assert.Equal(c.GetProperty("x_scale").GetSingle(), (float)layer.InputScale);
        Assert.Equal(c.GetProperty("x_zp").GetInt32(), layer.InputZeroPoint);
        QuantizedTensor x = layer.QuantizeInput(c.GetProperty("x").Tensor());
        Assert.Equal(c.GetProperty("x_int").Elements<byte>(), (byte[])x.IntRepr());

        float expected = c.GetProperty("y_scale").GetSingle();
        int ulps = Math.Abs(BitConverter.SingleToInt32Bits(expected) - BitConverter.SingleToInt32Bits((float)layer.OutputScale));
        Assert.InRange(ulps, 0, ScaleUlps);
        Assert.Equal(c.GetProperty("y_zp").GetInt32(), layer.OutputZeroPoint);

        var output = new QParams(expected, c.GetProperty("y_zp").GetInt32(), QDType.QUInt8);
        QuantizedWeightLayer exact = layer is QuantizedConv conv
            ? new QuantizedConv(conv.Weight, conv.Bias, conv.Geometry, conv.InputQParams, output, engine, conv.Options)
            : new QuantizedLinear(layer.Weight, layer.Bias, layer.InputQParams, output, engine, layer.Options);
        QuantizedTensor y = exact.Run(x);
        Assert.Equal(c.GetProperty("y_int").Elements<byte>(), (byte[])y.IntRepr());
        Assert.Equal(c.GetProperty("y").Elements<float>(), y.Dequantize().ToArray());
    }

    private static QConfig Config(JsonElement c, EngineKind engine)
    {
        string weight = c.GetProperty("weight_observer").GetString()!;
        bool perChannel = weight.StartsWith("per_channel", StringComparison.Ordinal), symmetric = weight.EndsWith("symmetric", StringComparison.Ordinal);
        ObserverSpec activation = new() { TorchVersion = TorchVersion.V1_13 };
        return new QConfig
        {
            Name = "golden",
            Backend = engine,
            Activation = c.GetProperty("act_observer").GetString()! switch
            {
                "MinMax" => activation,
                "MinMax_reduce" => activation with { ReduceRange = true },
                "MinMax_0_127" => activation with { QuantMin = 0, QuantMax = 127 },
                "MovingAverage" => activation with { Kind = ObserverKind.MovingAverageMinMax, AveragingConstant = 0.1 },
                "Histogram" => activation with { Kind = ObserverKind.Histogram },
                string other => throw new InvalidDataException($"Unknown observer {other} in the golden file."),
            },
            Weight = new ObserverSpec
            {
                Kind = perChannel ? ObserverKind.PerChannelMinMax : ObserverKind.MinMax,
                DType = QDType.QInt8,
                Scheme = perChannel
                    ? symmetric ? QScheme.PerChannelSymmetric : QScheme.PerChannelAffine
                    : symmetric ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine,
            },
        };
    }

    /// <summary>The float module as ONNX: Conv or Gemm, then BatchNormalization and Relu where the golden has them.</summary>
    private static OnnxModel Model(JsonElement c)
    {
        string kind = c.GetProperty("kind").GetString()!;
        bool linear = kind.StartsWith("linear", StringComparison.Ordinal);
        int[] shape = c.GetProperty("weight").Shape();
        List<TensorProto> initializers = [TensorProtos.Create("w", c.GetProperty("weight").Tensor())];
        List<string> inputs = ["x", "w"];
        if (!c.IsMissing("bias"))
        {
            initializers.Add(TensorProtos.Create("b", c.GetProperty("bias").Tensor()));
            inputs.Add("b");
        }
        List<NodeProto> nodes = [];
        if (linear)
        {
            nodes.Add(Nodes.Create("Gemm", "layer", inputs, ["v0"], Nodes.Attribute("transB", 1L)));
        }
        else
        {
            int[] pad = c.GetProperty("pad").Ints();
            nodes.Add(Nodes.Create("Conv", "layer", inputs, ["v0"],
                Nodes.Attribute("kernel_shape", shape[2..]),
                Nodes.Attribute("strides", c.GetProperty("stride").Ints()),
                Nodes.Attribute("pads", [.. pad, .. pad]),
                Nodes.Attribute("dilations", c.GetProperty("dil").Ints()),
                Nodes.Attribute("group", (long)c.GetProperty("groups").GetInt32())));
        }
        if (!c.IsMissing("bn"))
        {
            JsonElement bn = c.GetProperty("bn");
            foreach (string name in new[] { "gamma", "beta", "mean", "var" })
                initializers.Add(TensorProtos.Create(name, bn.GetProperty(name).Tensor()));
            nodes.Add(Nodes.Create("BatchNormalization", "bn", [nodes[^1].Output[0], "gamma", "beta", "mean", "var"], ["v1"], Nodes.Attribute("epsilon", bn.GetProperty("eps").GetSingle())));
        }
        if (kind.EndsWith("relu", StringComparison.Ordinal))
            nodes.Add(Nodes.Create("Relu", "relu", [nodes[^1].Output[0]], ["v2"]));
        object?[] input = linear ? ["N", shape[1]] : ["N", shape[1] * c.GetProperty("groups").GetInt32(), "H", "W"];
        return TestModels.Graph(input, nodes, initializers, [nodes[^1].Output[0]]);
    }
}
