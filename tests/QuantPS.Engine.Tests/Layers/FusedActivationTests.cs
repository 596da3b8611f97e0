using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

/// <summary>A fused activation is the activation on the quantized result: PyTorch has no fused ReLU6, so that is what its users get.</summary>
public class FusedActivationTests
{
    [Theory]
    [InlineData(EngineKind.Fbgemm)]
    [InlineData(EngineKind.Qnnpack)]
    [InlineData(EngineKind.OneDnn)]
    [InlineData(EngineKind.OnnxRuntime)]
    public void Relu6_equals_clamping_afterwards(EngineKind engine)
    {
        var random = new Random(8);
        foreach (QDType dtype in new[] { QDType.QUInt8, QDType.QInt8 })
        {
            for (int i = 0; i < 40; i++)
            {
                int zero = dtype == QDType.QUInt8 ? random.Next(256) : random.Next(-128, 128);
                var input = new QParams(0.02f, zero, dtype);
                var output = new QParams(0.01f + random.NextSingle() * 0.1f, dtype == QDType.QUInt8 ? random.Next(256) : random.Next(-128, 128), dtype);
                var weight = QuantizedTensor.FromIntegers([.. Enumerable.Range(0, 20 * 5 * 9).Select(_ => random.Next(-128, 128))], [20, 5, 3, 3], new QParams(0.01f, 0, QDType.QInt8));
                float[] bias = [.. Enumerable.Range(0, 20).Select(_ => random.NextSingle() * 8 - 4)];
                var geometry = new ConvGeometry([3, 3], padBegin: [1, 1]);
                (int low, int high) = dtype.Range();
                var x = QuantizedTensor.FromIntegers([.. Enumerable.Range(0, 5 * 49).Select(_ => random.Next(low, high + 1))], [1, 5, 7, 7], input);
                QuantizedTensor plain = new QuantizedConv(weight, bias, geometry, input, output, engine).Run(x);
                QuantizedTensor fused = new QuantizedConv(weight, bias, geometry, input, output, engine, new LayerOptions { Relu6 = true }).Run(x);
                Assert.Equal(QuantizedClamp.Relu6(output).Run(plain).IntRepr(), fused.IntRepr());
                (int least, int most) = (random.Next(low, high), random.Next(low, high + 1));
                most = Math.Max(least + 1, most);
                foreach (bool with in new[] { false, true })
                {
                    QuantizedTensor unlimited = new QuantizedConv(weight, bias, geometry, input, output, engine, new LayerOptions { Relu = with }).Run(x);
                    QuantizedTensor limited = new QuantizedConv(weight, bias, geometry, input, output, engine, new LayerOptions { Relu = with, Limits = (least, most) }).Run(x);
                    Assert.Equal(new IntegerLimits(least, most).Run(unlimited).IntRepr(), limited.IntRepr());
                }
                QuantizedTensor relu = new QuantizedConv(weight, bias, geometry, input, output, engine, new LayerOptions { Relu = true }).Run(x);
                Assert.Equal(new QuantizedRelu(output).Run(plain).IntRepr(), relu.IntRepr());
            }
        }
    }
}
