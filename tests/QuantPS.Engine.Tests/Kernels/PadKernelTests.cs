using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

[Collection(nameof(KernelThreads))]
public class PadKernelTests
{
    /// <summary>Rows of every length around the vectors, between guard pages.</summary>
    [Fact]
    public void Vectors_equal_the_reference_and_keep_to_their_memory()
    {
        var random = new Random(71);
        for (int i = 0; i < 1500; i++)
        {
            int width = i % 140, rows = random.Next(1, 150), before = random.Next(3) == 0 ? 0 : random.Next(40), after = random.Next(3) == 0 ? 0 : random.Next(40);
            if (width + before + after == 0)
                continue;
            byte[] x = new byte[rows * width], expected = new byte[rows * (before + width + after)];
            random.NextBytes(x);
            ReferencePad.Run(x, expected, width, before, after, (byte)i);
            GuardSide side = i % 2 == 0 ? GuardSide.Before : GuardSide.Behind;
            using GuardedMemory input = new(x.Length, side), output = new(expected.Length, side);
            x.CopyTo(input.GetSpan());
            VectorPad.Run(input.GetSpan(), output.GetSpan(), width, before, after, (byte)i);
            Assert.Equal(expected, output.GetSpan().ToArray());
            Assert.True(output.Intact);
        }
    }

    /// <summary>Margins along any dimensions of tensors in either layout, element by element; and channels brought behind and back, which moves nothing.</summary>
    [Fact]
    public void Layers_give_the_same_in_both_layouts()
    {
        var random = new Random(72);
        QParams p = new(0.1f, 7, QDType.QUInt8);
        int before = KernelThreads.Count;
        try
        {
            for (int i = 0; i < 400; i++)
            {
                int[] shape = [.. Enumerable.Range(0, 2 + i % 4).Select(_ => random.Next(1, 8))];
                if (i % 5 == 0)
                    shape[1] = random.Next(20, 70);
                int[] front = Margin(), back = Margin();
                QuantizedTensor x = QuantizedTensor.Allocate(shape, p);
                random.NextBytes(x.Bytes);
                KernelThreads.Count = 1 + i % 3;
                foreach (QuantizedTensor given in shape.Length > 2 ? (QuantizedTensor[])[x, Pixels(x)] : [x])
                {
                    QuantizedTensor y = QuantizedRearrange.Pad(given, front, back, 7 + i % 2);
                    Assert.Equal(shape.Select((s, d) => front[d] + s + back[d]), y.Shape);
                    Assert.True(y.IsChannelsLast || !given.IsChannelsLast);
                    for (int k = 0; k < y.Length; k++)
                    {
                        int[] at = [.. TensorShape.Index(y.Dims, k).Select((v, d) => v - front[d])];
                        Assert.Equal(at.Where((v, d) => v < 0 || v >= shape[d]).Any() ? 7 + i % 2 : x[at], y.GetInteger(k));
                    }
                }
                if (shape.Length == 4)
                {
                    QuantizedTensor behind = QuantizedRearrange.Permute(Pixels(x), [0, 2, 3, 1]), again = QuantizedRearrange.Permute(behind, [0, 3, 1, 2]);
                    Assert.Equal([shape[0], shape[2], shape[3], shape[1]], behind.Shape);
                    Assert.Equal(Pixels(x).AnyLayout.ToArray(), behind.Bytes.ToArray());
                    Assert.Equal(x.Shape, again.Shape);
                    Assert.Equal(x.Bytes.ToArray(), again.Bytes.ToArray());
                }

                int[] Margin() => [.. shape.Select(_ => random.Next(3) == 0 ? random.Next(1, 5) : 0)];
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    [Fact]
    public void Margins_that_do_not_fit_are_refused()
    {
        QuantizedTensor x = QuantizedTensor.Allocate([2, 3], new QParams(0.1f, 7, QDType.QUInt8));
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => QuantizedRearrange.Pad(x, [1], [1], 7)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => QuantizedRearrange.Pad(x, [1, -1], [1, 0], 7)).ErrorId);
        Assert.Equal([0, 3], QuantizedRearrange.Pad(QuantizedTensor.Allocate([0, 3], x.QParams), [0, 0], [0, 0], 7).Shape);
        Assert.Equal(Enumerable.Repeat((byte)7, 6), QuantizedRearrange.Pad(QuantizedTensor.Allocate([0, 3], x.QParams), [1, 0], [1, 0], 7).Bytes.ToArray());
    }

    private static QuantizedTensor Pixels(QuantizedTensor x)
    {
        var pixels = new byte[x.Length];
        LayoutConversion.ToChannelsLast(x.Memory, pixels, x.Dims[0], x.Dims[1], TensorShape.Count(x.Dims[2..]));
        return new QuantizedTensor(x.Shape, pixels, x.QParams, KernelLayout.ChannelsLast);
    }
}
