using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

public class QuantizedChannelTableTests
{
    private const int Channels = 5;

    private static readonly QParams Input = new(0.05f, 100, QDType.QUInt8), Output = new(0.031f, 17, QDType.QUInt8);

    private static float Function(int channel, float x) => MathF.Max(x * (channel - 1.5f), -0.3f);

    /// <summary>In either layout, over its input or beside it, every byte is the function of its channel, rounded once.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void EveryByteIsTheFunctionOfItsChannel(bool channelsLast, bool inPlace)
    {
        int[] shape = [3, Channels, 7, 11];
        var rows = new byte[3 * Channels * 77];
        new Random(1).NextBytes(rows);
        var expected = new byte[rows.Length];
        for (int i = 0; i < rows.Length; i++)
            expected[i] = (byte)Quantizer.QuantizeTorch(Function(i / 77 % Channels, (rows[i] - 100) * 0.05f), 1f / 0.031f, 17, 0, 255);
        var stored = (byte[])rows.Clone();
        for (int i = 0; channelsLast && i < rows.Length; i++)
            stored[(i / 77 / Channels * 77 + i % 77) * Channels + i / 77 % Channels] = rows[i];
        QuantizedTensor x = new(shape, stored, Input, channelsLast ? KernelLayout.ChannelsLast : KernelLayout.Contiguous);
        QuantizedTensor y = new QuantizedChannelTable(Input, Output, Channels, Function).Run(x, inPlace);
        Assert.Equal(expected, y.Bytes.ToArray());
        Assert.Equal(Output, y.QParams);
        if (!inPlace)
            Assert.Equal(rows, x.Bytes.ToArray());
    }

    /// <summary>Whole blocks of channels and pixels, which go by vectors, and what is left of both: every entry of every channel's table.</summary>
    [Theory]
    [InlineData(16, 64, false)]
    [InlineData(16, 256, true)]
    [InlineData(37, 331, false)]
    [InlineData(48, 1500, true)]
    public void BlocksOfPixelsAreLookedUpToo(int channels, int pixels, bool inPlace)
    {
        QParams input = new(0.05f, -3, QDType.QInt8);
        var stored = new byte[2 * pixels * channels];
        for (int i = 0; i < stored.Length; i++)
            stored[i] = (byte)(i / channels * 5 + i % channels * 11);
        byte[] expected = [.. stored.Select((q, i) => (byte)Quantizer.QuantizeOnnx(Function(i % channels, ((sbyte)q + 3) * 0.05f), 0.031f, 17, 0, 255))];
        QuantizedTensor x = new([2, channels, pixels, 1], stored, input, KernelLayout.ChannelsLast);
        QuantizedTensor y = new QuantizedChannelTable(input, Output, channels, Function, onnxRule: true).Run(x, inPlace);
        Assert.True(y.TryGetChannelsLast(out Memory<byte> bytes));
        Assert.Equal(expected, bytes.ToArray());
    }

    [Fact]
    public void AnotherNumberOfChannelsIsRefused()
    {
        QuantizedChannelTable table = new(Input, Output, Channels, Function);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => table.Run(QuantizedTensor.Allocate([1, 4, 2, 2], Input))).ErrorId);
        Assert.Equal(0, table.Run(QuantizedTensor.Allocate([0, Channels, 2, 2], Input)).Length);
    }
}
