using System.Text.Json;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>Against ONNX Runtime's own quantization tool (tests/golden/ort_qparams.json).</summary>
public class OrtQParamsTests
{
    private static readonly JsonElement Golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "ort_qparams.json"))).RootElement;

    [Fact]
    public void ScaleAndZeroPoint()
    {
        int count = 0;
        foreach (JsonElement row in Golden.GetProperty("scale_zp").EnumerateArray())
        {
            QDType dtype = row[0].GetString() == "quint8" ? QDType.QUInt8 : QDType.QInt8;
            QParams p = OrtQParams.Calculate([Float(row[3])], [Float(row[4])], dtype, row[1].GetBoolean() ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine, row[2].GetBoolean());
            Assert.Equal((row[5].GetUInt32(), row[6].GetInt32()), (BitConverter.SingleToUInt32Bits(p.Scales[0]), p.ZeroPoints[0]));
            count++;
        }
        Assert.Equal(600, count);
    }

    [Fact]
    public void WeightScaleForTheBias()
    {
        int widened = 0;
        foreach (JsonElement row in Golden.GetProperty("adjust").EnumerateArray())
        {
            float[] bias = Floats(row[0]), scales = Floats(row[2]), expected = Floats(row[3]);
            float input = Float(row[1]);
            QParams perChannel = OrtQParams.AdjustForInt32Bias(new QParams(scales, new int[scales.Length], QDType.QInt8, QScheme.PerChannelSymmetric, 0), bias, input);
            Assert.Equal(expected, perChannel.Scales.ToArray());
            QParams perTensor = OrtQParams.AdjustForInt32Bias(new QParams(scales[0], 0, QDType.QInt8, QScheme.PerTensorSymmetric), bias, input);
            Assert.Equal(Float(row[4]), perTensor.Scales[0]);
            widened += scales.Zip(expected).Count(s => s.First != s.Second);
        }
        // Both sides of the condition occur.
        Assert.InRange(widened, 30, 270);
    }

    private static float Float(JsonElement bits) => BitConverter.UInt32BitsToSingle(bits.GetUInt32());

    private static float[] Floats(JsonElement bits) => [.. bits.EnumerateArray().Select(Float)];
}
