using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

/// <summary>A convolution with its residual sum against the one after the other.</summary>
[Collection(nameof(KernelThreads))]
public class ConvResidualTests
{
    public static TheoryData<EngineKind, bool> Kinds() => [.. from engine in Enum.GetValues<EngineKind>() from relu in (bool[])[false, true] select (engine, relu)];

    /// <summary>Whole rows, parts of rows, small maps, pointwise, depthwise, padded, strided; batches; more threads than bands.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void Equals_one_after_the_other(EngineKind engine, bool relu)
    {
        var random = new Random(41);
        int before = KernelThreads.Count;
        try
        {
            for (int draw = 0; draw < 40; draw++)
            {
                int inputs = random.Next(1, 80), outputs = random.Next(1, 150), kernel = random.Next(3) == 0 ? 3 : 1, height = random.Next(1, 40), width = random.Next(1, 60), batch = random.Next(1, 4);
                bool depthwise = random.Next(5) == 0;
                if (depthwise)
                    outputs = inputs;
                QDType type = engine is EngineKind.Qnnpack or EngineKind.OnnxRuntime && random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8;
                int Zero() => type == QDType.QInt8 ? random.Next(-20, 20) : random.Next(100, 150);
                ConvGeometry geometry = new([kernel, kernel], [random.Next(1, 3)], [kernel / 2], null, null, depthwise ? inputs : 1);
                QParams x = new(0.02f, Zero(), type), y = new(0.05f * MathF.Sqrt(inputs), Zero(), type), other = new(0.07f * MathF.Sqrt(inputs), Zero(), type), sum = new(0.1f * MathF.Sqrt(inputs), Zero(), type);
                QuantizedConv conv = new(Random(random, [outputs, depthwise ? 1 : inputs, kernel, kernel], new QParams(0.01f, 0, QDType.QInt8)), null, geometry, x, y, engine);
                QuantizedAdd add = new(y, other, sum, engine, new LayerOptions { Relu = relu });
                KernelThreads.Count = random.Next(1, 5);
                QuantizedTensor image = Random(random, [batch, inputs, height, width], x);
                QuantizedTensor first = conv.Run(image), residual = Random(random, first.Shape, other);
                byte[] expected = add.Run(first, residual).Bytes.ToArray();
                Assert.Equal(expected, conv.RunAndAdd(image, residual, add).Bytes.ToArray());
                // As it comes in a network: from another convolution, pixel by pixel.
                QuantizedTensor pixels = Pixels(residual);
                Assert.Equal(residual.DType, pixels.DType);
                QuantizedTensor sums = conv.RunAndAdd(image, pixels, add, spent: draw % 2 == 0);
                Assert.Equal(expected, sums.Bytes.ToArray());
                Assert.Same(sum, sums.QParams);
                // The other way round, which differs near ties.
                QuantizedAdd reversed = new(other, y, sum, engine, new LayerOptions { Relu = relu });
                Assert.Equal(reversed.Run(residual, first).Bytes.ToArray(), conv.RunAndAdd(image, Pixels(residual), reversed, spent: draw % 3 == 0, otherIsFirst: true).Bytes.ToArray());
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    /// <summary>An operand that lies plane by plane, as what is no layer leaves it, costs a run no new memory: with one rule for sum and convolution, and without.</summary>
    [Theory]
    [InlineData(EngineKind.OnnxRuntime)]
    [InlineData(EngineKind.Qnnpack)]
    public void Planes_leave_no_memory_behind(EngineKind engine)
    {
        QParams p = new(0.1f, 3, QDType.QUInt8);
        QuantizedConv conv = new(QuantizedTensor.Allocate([32, 32, 1, 1], new QParams(0.01f, 0, QDType.QInt8)), null, new ConvGeometry([1, 1]), p, p, engine);
        QuantizedAdd add = new(p, p, p, engine);
        QuantizedTensor x = QuantizedTensor.Allocate([1, 32, 16, 16], p), planes = QuantizedTensor.Allocate([1, 32, 16, 16], p);
        ActivationPool pool = new();
        int before = KernelThreads.Count;
        try
        {
            KernelThreads.Count = 1;
            long start = 0;
            const int warm = 3, runs = 10;
            for (int run = 0; run < warm + runs; run++)
            {
                if (run == warm)
                    start = GC.GetAllocatedBytesForCurrentThread();
                using ActivationPool.Scope scope = pool.Use();
                pool.Return(conv.RunAndAdd(x, planes, add));
            }
            Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - start) / runs, 0, planes.Length - 1);
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    [Fact]
    public void Refuses_what_does_not_broadcast()
    {
        QParams p = new(0.1f, 3, QDType.QUInt8);
        QuantizedConv conv = new(QuantizedTensor.Allocate([4, 4, 1, 1], new QParams(0.01f, 0, QDType.QInt8)), null, new ConvGeometry([1, 1]), p, p, EngineKind.OnnxRuntime);
        QuantizedAdd add = new(p, p, p, EngineKind.OnnxRuntime);
        QuantizedTensor x = QuantizedTensor.Allocate([1, 4, 5, 5], p);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => conv.RunAndAdd(x, QuantizedTensor.Allocate([1, 4, 5, 4], p), add)).ErrorId);
        // What broadcasts is a sum like any other.
        Assert.Equal([1, 4, 5, 5], conv.RunAndAdd(x, QuantizedTensor.Allocate([1, 4, 1, 1], p), add).Shape);
    }

    private static QuantizedTensor Random(Random random, int[] shape, QParams p)
    {
        QuantizedTensor t = QuantizedTensor.Allocate(shape, p);
        random.NextBytes(t.Bytes);
        return t;
    }

    private static QuantizedTensor Pixels(QuantizedTensor t)
    {
        var bytes = new byte[t.Length];
        LayoutConversion.ToChannelsLast(t.Memory, bytes, t.Dims[0], t.Dims[1], t.Dims[2] * t.Dims[3]);
        return new QuantizedTensor(t.Shape, bytes, t.QParams, KernelLayout.ChannelsLast);
    }
}
