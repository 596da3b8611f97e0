using System.Text.Json;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Golden;

/// <summary>One case of a kernels_*.json file: a quantized convolution or linear layer with its input.</summary>
internal static class KernelCase
{
    /// <summary>The layer of a case on one engine.</summary>
    public static QuantizedWeightLayer Layer(JsonElement c, string engine, TorchVersion version, bool compat)
    {
        string op = c.GetProperty("op").GetString()!;
        bool perChannel = c.GetProperty("per_channel").GetBoolean();
        var w = new QParams(c.GetProperty("w_scale").Singles(), c.GetProperty("w_zp").Ints(), QDType.QInt8, perChannel ? QScheme.PerChannelAffine : QScheme.PerTensorAffine, perChannel ? 0 : -1);
        int[] shape = c.GetProperty("w").Shape();
        var weight = new QuantizedTensor(shape, (byte[])(Array)c.GetProperty("w").Elements<sbyte>(), w);
        float[]? bias = c.IsMissing("b") ? null : c.GetProperty("b").Elements<float>();
        var input = new QParams(c.GetProperty("x_scale").GetSingle(), c.GetProperty("x_zp").GetInt32(), QDType.QUInt8);
        var output = new QParams(c.GetProperty("y_scale").GetSingle(), c.GetProperty("y_zp").GetInt32(), QDType.QUInt8);
        var options = new LayerOptions { Name = c.GetProperty("id").GetString()!, Relu = op.EndsWith("_relu", StringComparison.Ordinal), Compat = compat, TorchVersion = version };
        EngineKind kind = Enum.Parse<EngineKind>(engine, ignoreCase: true);
        if (op.StartsWith("linear", StringComparison.Ordinal))
            return new QuantizedLinear(weight, bias, input, output, kind, options);
        var geometry = new ConvGeometry(shape[2..], c.GetProperty("stride").Ints(), c.GetProperty("pad").Ints(), null, c.GetProperty("dil").Ints(), c.GetProperty("groups").GetInt32());
        return new QuantizedConv(weight, bias, geometry, input, output, kind, options);
    }

    /// <summary>Runs the case's input.</summary>
    public static QuantizedTensor Run(JsonElement c, QuantizedWeightLayer layer) =>
        layer.Run(new QuantizedTensor(c.GetProperty("x").Shape(), c.GetProperty("x").Elements<byte>(), layer.InputQParams));

    /// <summary>Where the real engine has a defect that only compat mode reproduces: FBGEMM's depthwise int16 saturation, QNNPACK's saturated biases.</summary>
    public static bool MeetsEngineDefect(QuantizedWeightLayer layer) => layer.EffectiveEngine switch
    {
        EngineKind.Fbgemm => layer is QuantizedConv conv && PairSaturatingConv.Applies(ProblemOf(conv)),
        EngineKind.Qnnpack => layer.QuantizedBias is { } b && b.Any(v => v is int.MaxValue or int.MinValue),
        _ => false,
    };

    private static ConvProblem ProblemOf(QuantizedConv conv) => new()
    {
        Weight = conv.Weight.SBytes.ToArray(),
        WeightZeroPoints = new int[conv.OutputChannels],
        OutputChannels = conv.OutputChannels,
        ChannelsPerGroup = conv.Weight.Dims[1],
        Geometry = conv.Geometry,
        InputZeroPoint = 0,
        InputFlip = 0,
        Requantizer = conv.Requantizer,
    };
}
