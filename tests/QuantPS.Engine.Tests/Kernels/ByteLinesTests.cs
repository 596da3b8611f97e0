using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Tables that are lines: they are found, and give the very same bytes, on memory whose neighbours must not be touched.</summary>
public class ByteLinesTests
{
    public static TheoryData<string> Functions => ["line", "LeakyRelu", "HardSigmoid", "ReLU6", "falling", "constant"];

    [Theory, MemberData(nameof(Functions))]
    public void EqualTheTable(string what)
    {
        var random = new Random(what.Length);
        int found = 0;
        const int draws = 150;
        for (int draw = 0; draw < draws; draw++)
        {
            QDType from = draw % 2 == 0 ? QDType.QUInt8 : QDType.QInt8, to = draw % 3 == 0 ? QDType.QInt8 : from;
            QParams input = Parameters(from), output = Parameters(to);
            float slope = random.NextSingle() * 0.5f;
            Func<float, float> function = what switch
            {
                "LeakyRelu" => v => v > 0 ? v : slope * v,
                "HardSigmoid" => v => Math.Clamp(v / 6 + 0.5f, 0, 1),
                "ReLU6" => v => Math.Clamp(v, 0, 6),
                "falling" => v => -slope * v + 1,
                "constant" => _ => slope,
                _ => v => v,
            };
            byte[] table = Table(input, output, function, onnxRule: draw % 2 == 0);
            // What goes from one order of the bytes to the other has no line here.
            if (ByteLines.Find(table) is not { } lines)
                continue;
            found++;
            for (int i = 0; i < table.Length; i++)
                Assert.Equal(table[i], lines.Apply((byte)i));
            if (!Avx2.IsSupported)
                continue;
            int length = random.Next(200);
            byte[] data = new byte[length];
            random.NextBytes(data);
            foreach (GuardSide side in Enum.GetValues<GuardSide>())
            {
                using GuardedMemory x = new(length, side), y = new(length, side);
                data.CopyTo(x.GetSpan());
                Assert.Equal(length / 32 * 32, VectorByteLines.Run(x.GetSpan(), y.GetSpan(), lines));
                for (int i = 0; i < length / 32 * 32; i++)
                    Assert.Equal(table[data[i]], y.GetSpan()[i]);
                Assert.True(y.Intact);
                // In place.
                VectorByteLines.Run(x.GetSpan(), x.GetSpan(), lines);
                Assert.True(y.GetSpan()[..(length / 32 * 32)].SequenceEqual(x.GetSpan()[..(length / 32 * 32)]));
            }
        }
        // Of two thirds the types are one.
        Assert.True(found >= draws * 0.6, $"{found} of {draws}");

        QParams Parameters(QDType dtype)
        {
            (int min, int max) = dtype.Range();
            return new QParams(0.01f + random.NextSingle() * 0.05f, random.Next(min, max + 1), dtype);
        }
    }

    /// <summary>Curves have none; the kernel looks them up.</summary>
    [Fact]
    public void CurvesHaveNone()
    {
        var random = new Random(9);
        QParams input = new(0.05f, 128, QDType.QUInt8), output = new(0.02f, 20, QDType.QUInt8);
        foreach (Func<float, float> function in (Func<float, float>[])[v => v / (1 + MathF.Exp(-v)), v => v * v, MathF.Tanh, v => v < -1 ? -v : v])
            Assert.Null(ByteLines.Find(Table(input, output, function, onnxRule: true)));
        byte[] any = new byte[256], x = new byte[10_000], y = new byte[x.Length];
        random.NextBytes(any);
        random.NextBytes(x);
        Assert.Null(ByteLines.Find(any));
        TableKernel.Run(x, y, new ByteTable(any));
        Assert.Equal(x.Select(v => any[v]), y);
    }

    /// <summary>Through the layers that have such tables, at lengths with and without vectors.</summary>
    [Theory]
    [InlineData(31)]
    [InlineData(4_096)]
    [InlineData(70_001)]
    public void LayersGiveTheSame(int length)
    {
        QParams input = new(0.031f, 77, QDType.QUInt8), output = new(0.02f, 90, QDType.QUInt8);
        QuantizedTensor x = QuantizedTensor.Allocate([length], input);
        new Random(5).NextBytes(x.Bytes);
        foreach (Func<float, float> function in (Func<float, float>[])[v => v, v => v > 0 ? v : 0.1f * v, MathF.Tanh])
        {
            byte[] table = Table(input, output, function, onnxRule: true), given = x.Bytes.ToArray();
            Assert.Equal(given.Select(v => table[v]), new QuantizedTable(input, output, function, onnxRule: true).Run(x).Bytes.ToArray());
        }
    }

    private static byte[] Table(QParams input, QParams output, Func<float, float> function, bool onnxRule)
    {
        QuantizedTensor all = QuantizedTensor.Allocate([256], input);
        for (int i = 0; i < 256; i++)
            all.Bytes[i] = (byte)i;
        (int min, int max) = output.DType.Range();
        float[] reals = all.Dequantize().ToArray();
        return [.. reals.Select(v => unchecked((byte)(onnxRule ? Quantizer.QuantizeOnnx(function(v), output.Scales[0], output.ZeroPoints[0], min, max)
            : Quantizer.QuantizeTorch(function(v), 1f / output.Scales[0], output.ZeroPoints[0], min, max))))];
    }
}
