using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Convolutions of signals have the kernels of images, and their results.</summary>
public class LineConvTests
{
    [Fact]
    public void EqualsTheReferenceWithTheKernelOfAnImage()
    {
        var random = new Random(58);
        for (int draw = 0; draw < 60; draw++)
        {
            bool depthwise = draw % 4 == 0;
            int inputs = random.Next(1, 40), outputs = depthwise ? inputs : random.Next(1, 40), length = random.Next(20, 90), batch = random.Next(1, 3);
            ConvGeometry geometry = new([random.Next(1, 8)], [random.Next(1, 3)], [random.Next(3)], [random.Next(3)], [random.Next(1, 3)], depthwise ? inputs : 1);
            ConvProblem problem = Problem(random, geometry, inputs, outputs);
            ConvKernel kernel = KernelSelector.Select(problem), image = KernelSelector.Select(LineConv.ImageOf(problem));
            Assert.Equal(image.Name, kernel.Name);
            int outLength = geometry.OutputSize([length])[0];
            byte[] x = new byte[batch * inputs * length], expected = new byte[batch * outputs * outLength], actual = new byte[expected.Length];
            random.NextBytes(x);
            new ReferenceConv(problem).Run(x, batch, [length], expected);
            if (kernel.Layout == KernelLayout.ChannelsLast)
            {
                byte[] pixels = new byte[x.Length], y = new byte[expected.Length];
                LayoutConversion.ToChannelsLast(x, pixels, batch, inputs, length);
                kernel.Run(pixels, batch, [length], y);
                LayoutConversion.ToContiguous(y, actual, batch, outputs, outLength);
            }
            else
                kernel.Run(x, batch, [length], actual);
            Assert.True(expected.AsSpan().SequenceEqual(actual), $"draw {draw}: {inputs}->{outputs} {geometry} of {length}, {kernel.Name}");
        }
    }

    private static ConvProblem Problem(Random random, ConvGeometry geometry, int inputs, int outputs)
    {
        var weight = new sbyte[outputs * (inputs / geometry.Groups) * geometry.Kernel[0]];
        random.NextBytes((byte[])(Array)weight);
        return new ConvProblem
        {
            Weight = weight,
            WeightZeroPoints = new int[outputs],
            OutputChannels = outputs,
            ChannelsPerGroup = inputs / geometry.Groups,
            Geometry = geometry,
            InputZeroPoint = random.Next(256),
            InputFlip = 0,
            Requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
            {
                InputScale = 0.02f,
                WeightScales = [0.01f],
                PerChannelWeight = false,
                Bias = [.. Enumerable.Range(0, outputs).Select(_ => random.NextSingle() - 0.5f)],
                OutputChannels = outputs,
                OutputScale = 0.1f * MathF.Sqrt(inputs * geometry.Kernel[0]),
                OutputZeroPoint = 120,
                OutputMin = 0,
                OutputMax = 255,
            }),
        };
    }
}
