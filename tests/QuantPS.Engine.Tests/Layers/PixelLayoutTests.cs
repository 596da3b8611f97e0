using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

/// <summary>Operators on tensors that lie pixel by pixel, as convolutions leave them, against the same on row-major ones.</summary>
public class PixelLayoutTests
{
    /// <summary>Pairs of equal shapes, of a value per channel (squeeze-and-excite), per image, per pixel, and single ones; in either order; also written over.</summary>
    [Theory]
    [InlineData(EngineKind.OnnxRuntime)]
    [InlineData(EngineKind.X86)]
    [InlineData(EngineKind.Qnnpack)]
    public void Pairs(EngineKind engine)
    {
        var random = new Random(51);
        for (int draw = 0; draw < 80; draw++)
        {
            int n = random.Next(1, 4), c = random.Next(1, 200), h = random.Next(1, 20), w = random.Next(1, 20);
            int[][] shapes = [[n, c, h, w], [n, c, 1, 1], [1, c, 1, 1], [n, 1, h, w], [1, 1, 1, 1], [c, 1, 1]];
            int[] shape = shapes[random.Next(shapes.Length)];
            QParams a = new(0.02f, 120, QDType.QUInt8), b = new(0.03f, 128, QDType.QUInt8), y = new(0.05f, 100, QDType.QUInt8);
            QuantizedTensor big = Random(random, [n, c, h, w], a), small = Random(random, shape, b);
            QuantizedAdd add = new(a, b, y, engine), turned = new(b, a, y, engine);
            QuantizedMul mul = new(y, engine);
            byte[] sums = add.Run(big, small).Bytes.ToArray(), products = mul.Run(big, small).Bytes.ToArray();
            Assert.Equal(sums, add.Run(Pixels(big), Pixels(small)).Bytes.ToArray());
            Assert.Equal(sums, turned.Run(Pixels(small), Pixels(big)).Bytes.ToArray());
            Assert.Equal(sums, add.Run(Pixels(big), small).Bytes.ToArray());
            Assert.Equal(products, mul.Run(Pixels(big), Pixels(small)).Bytes.ToArray());
            Assert.Equal(products, mul.Run(Pixels(small), Pixels(big)).Bytes.ToArray());
            foreach (SpentOperand spent in Enum.GetValues<SpentOperand>())
            {
                Assert.Equal(sums, add.Run(Pixels(big), Pixels(small), spent).Bytes.ToArray());
                Assert.Equal(products, mul.Run(Copy(big), Copy(small), spent).Bytes.ToArray());
            }
        }
    }

    [Theory]
    [InlineData(EngineKind.OnnxRuntime, 1)]
    [InlineData(EngineKind.OnnxRuntime, 2)]
    [InlineData(EngineKind.X86, 1)]
    [InlineData(EngineKind.X86, 2)]
    public void Joining(EngineKind engine, int dim)
    {
        var random = new Random(52);
        for (int draw = 0; draw < 60; draw++)
        {
            int n = random.Next(1, 3), h = random.Next(1, 9), w = random.Next(1, 9), c = random.Next(1, 70);
            QParams y = new(0.05f, 100, QDType.QUInt8);
            QuantizedTensor[] parts = [.. Enumerable.Range(0, random.Next(1, 5)).Select(i => Random(random,
                dim == 1 ? [n, random.Next(1, 300), h, w] : [n, c, random.Next(1, 9), w], i == 1 ? y : new QParams(0.02f + 0.01f * i, 90 + i, QDType.QUInt8)))];
            QuantizedConcat concat = new(y, dim, channelsLast: true, engine);
            byte[] expected = concat.Run(parts).Bytes.ToArray();
            Assert.Equal(expected, concat.Run([.. parts.Select(Pixels)]).Bytes.ToArray());
            // Constants lie in planes, what convolutions leave does not.
            QuantizedTensor mixed = concat.Run([.. parts.Select((p, i) => i % 2 == 0 ? Pixels(p) : p)]);
            Assert.Equal(expected, mixed.Bytes.ToArray());
        }
    }

    /// <summary>Images and channels as before: the pixels stay where they are, under whatever shape. Anything else is row-major.</summary>
    [Theory]
    [InlineData(new[] { 2, 5, 12 }, true)]
    [InlineData(new[] { 2, 5, 1, 3, 4 }, true)]
    [InlineData(new[] { 2, 5, 4, 3 }, true)]
    [InlineData(new[] { 2, 60 }, false)]
    [InlineData(new[] { 10, 12 }, false)]
    [InlineData(new[] { 1, 5, 24 }, false)]
    [InlineData(new[] { 2, 15, 4 }, false)]
    public void OtherShapes(int[] shape, bool staysPixels)
    {
        QuantizedTensor x = Random(new Random(56), [2, 5, 3, 4], new QParams(0.02f, 120, QDType.QUInt8)), pixels = Pixels(x);
        QuantizedTensor y = pixels.Reshape(shape);
        Assert.Equal(staysPixels, y.TryGetChannelsLast(out _));
        Assert.Equal(staysPixels, ActivationPool.AreOne(pixels, y) && pixels.TryGetChannelsLast(out _));
        Assert.Equal(shape, y.Shape);
        Assert.Equal(x.Bytes.ToArray(), y.Bytes.ToArray());
    }

    /// <summary>Channels of one image or of several joined, for several results at once, against joining and taking them one by one.</summary>
    [Theory]
    [InlineData(EngineKind.OnnxRuntime, false)]
    [InlineData(EngineKind.X86, false)]
    [InlineData(EngineKind.X86, true)]
    public void Picking(EngineKind engine, bool compat)
    {
        var random = new Random(55);
        for (int draw = 0; draw < 90; draw++)
        {
            int n = random.Next(1, 4), h = random.Next(1, 9), w = random.Next(1, 9), count = 1 + draw % 3;
            QDType dtype = draw % 2 == 0 ? QDType.QUInt8 : QDType.QInt8;
            QParams y = new(0.05f, 100, dtype);
            int[] area = draw % 5 == 0 ? [h] : draw % 7 == 0 ? [h, w, 2] : [h, w];
            QuantizedTensor[] images = [.. Enumerable.Range(0, count).Select(i => Random(random, [n, random.Next(1, 70), .. area], i == 1 ? y : new QParams(0.02f + 0.01f * i, 90 + i, dtype)))];
            QuantizedConcat? joint = count == 1 && draw % 2 == 0 ? null : new QuantizedConcat(y, 1, channelsLast: draw % 4 < 2, engine, new LayerOptions { Compat = compat });
            QuantizedTensor all = joint?.Run(images) ?? images[0];
            int channels = all.Dims[1];
            int[][] picks = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(channels)).ToArray())];
            QuantizedChannelPick pick = new(joint, [.. images.Select(i => i.Dims[1])], picks);
            foreach (QuantizedTensor[] given in new[] { [.. images.Select(Pixels)], images, [.. images.Select((t, i) => i % 2 == 0 ? Pixels(t) : t)] })
            {
                QuantizedTensor[] results = pick.Run(given);
                Assert.Equal(picks.Length, results.Length);
                for (int r = 0; r < results.Length; r++)
                {
                    int[] positions = picks[r];
                    QuantizedTensor expected = QuantizedRearrange.Pick(all, [null, positions, .. area.Select(_ => (int[]?)null)]);
                    Assert.True(results[r].TryGetChannelsLast(out _));
                    Assert.Equal(expected.Shape, results[r].Shape);
                    Assert.Same((joint is null ? images[0].QParams : y), results[r].QParams);
                    Assert.Equal(expected.Bytes.ToArray(), results[r].Bytes.ToArray());
                }
            }
        }
    }

    [Fact]
    public void PickingWantsTheImagesThatItWasMadeFor()
    {
        QParams p = new(0.05f, 100, QDType.QUInt8);
        QuantizedChannelPick pick = new(new QuantizedConcat(p), [2, 3], [[0, 4]]);
        QuantizedTensor two = QuantizedTensor.Allocate([1, 2, 4, 4], p), three = QuantizedTensor.Allocate([1, 3, 4, 4], p);
        Assert.Equal([1, 2, 4, 4], pick.Run(two, three)[0].Shape);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => pick.Run(two)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => pick.Run(three, two)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => pick.Run(two, QuantizedTensor.Allocate([1, 3, 4, 5], p))).ErrorId);
        Assert.Equal(ErrorIds.UnsupportedDType, Assert.Throws<QuantException>(() => pick.Run(two, three.With(new QParams(0.05f, 100, QDType.QInt8)))).ErrorId);
        Assert.Throws<ArgumentException>(() => new QuantizedChannelPick(null, [2, 3], [[0]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new QuantizedChannelPick(null, [2], [[2]]));
        Assert.False(QuantizedChannelPick.Suits(two, three));
        Assert.True(QuantizedChannelPick.Suits(Pixels(two), Pixels(three)));
        Assert.True(QuantizedChannelPick.Suits(two, Pixels(three)));
    }

    /// <summary>A run's memory, given back, is that of the next run: the pixels as well, after a tensor was turned, and float32 values.</summary>
    [Fact]
    public void MemoryOfTurnedAndRealTensorsIsGivenBack()
    {
        var pool = new ActivationPool();
        QParams p = new(0.02f, 120, QDType.QUInt8);
        Memory<byte>[] used = new Memory<byte>[2];
        Memory<float> real = default;
        for (int run = 0; run < 2; run++)
        {
            using ActivationPool.Scope scope = pool.Use();
            Memory<byte> pixels = ActivationPool.Allocate(64 * 100);
            QuantizedTensor x = new([1, 64, 10, 10], pixels, p, KernelLayout.ChannelsLast), other = x.With(new QParams(0.03f, 1, QDType.QUInt8));
            Memory<byte> planes = x.Memory;
            Assert.True(ActivationPool.AreOne(x, other));
            Tensor floats = new([300, 100], ActivationPool.AllocateFloats(30000));
            if (run == 1)
            {
                Assert.Contains(used, u => u.Equals(pixels));
                Assert.Contains(used, u => u.Equals(planes));
                Assert.True(real.Equals(floats.Memory));
            }
            (used[0], used[1], real) = (pixels, planes, floats.Memory);
            pool.Return(x);
            pool.Return(floats);
        }
    }

    [Fact]
    public void Averaging()
    {
        var random = new Random(53);
        for (int draw = 0; draw < 40; draw++)
        {
            QParams x = new(0.02f, random.Next(256), QDType.QUInt8), y = new(0.018f, random.Next(256), QDType.QUInt8);
            int[] kernel = [random.Next(1, 4), random.Next(1, 4)];
            PoolGeometry geometry = new(kernel, [random.Next(1, 3), random.Next(1, 3)], [random.Next(kernel[0]), random.Next(kernel[1])], null, random.Next(2) == 0, [random.Next(kernel[0]), random.Next(kernel[1])]);
            QuantizedTensor image = Random(random, [2, random.Next(1, 90), random.Next(4, 12), random.Next(4, 12)], x);
            QuantizedAveragePool pool = new(geometry, random.Next(2) == 0, engine: EngineKind.OnnxRuntime, output: y);
            Assert.Equal(pool.Run(image).Bytes.ToArray(), pool.Run(Pixels(image)).Bytes.ToArray());
            QuantizedMaxPool max = new(geometry);
            Assert.Equal(max.Run(image).Bytes.ToArray(), max.Run(Pixels(image)).Bytes.ToArray());
        }
    }

    /// <summary>Blocks of 16 channels and 64 pixels, and what is left over of either; also in place.</summary>
    [Fact]
    public void TablesPerChannel()
    {
        var random = new Random(56);
        QParams a = new(0.02f, 120, QDType.QUInt8), b = new(0.03f, 100, QDType.QUInt8);
        for (int draw = 0; draw < 60; draw++)
        {
            int channels = random.Next(1, 90);
            QuantizedTensor x = Random(random, [random.Next(1, 4), channels, random.Next(1, 20), random.Next(1, 20)], a);
            float[] factors = [.. Enumerable.Range(0, channels).Select(_ => random.NextSingle() * 4 - 2)];
            QuantizedChannelTable tables = new(a, b, channels, (c, v) => factors[c] * v + c * 0.01f, onnxRule: true);
            byte[] expected = new byte[x.Length];
            for (int i = 0; i < expected.Length; i++)
            {
                int c = i / (x.Dims[2] * x.Dims[3]) % channels;
                expected[i] = (byte)Quantizer.QuantizeOnnx(factors[c] * Quantizer.Dequantize(x.Bytes[i], 0.02f, 120) + c * 0.01f, 0.03f, 100, 0, 255);
            }
            Assert.Equal(expected, tables.Run(x).Bytes.ToArray());
            Assert.Equal(expected, tables.Run(Pixels(x)).Bytes.ToArray());
            Assert.Equal(expected, tables.Run(Pixels(x), inPlace: true).Bytes.ToArray());
        }
    }

    /// <summary>Every order of four dimensions, and random picks with repetitions, against index arithmetic.</summary>
    [Fact]
    public void Rearranging()
    {
        var random = new Random(54);
        QParams p = new(0.02f, 120, QDType.QUInt8);
        for (int draw = 0; draw < 120; draw++)
        {
            int[] shape = [.. Enumerable.Range(0, draw % 3 == 0 ? 5 : 4).Select(_ => random.Next(1, 9))];
            // Large enough for blocks of vectors.
            if (draw % 5 == 0)
                shape[random.Next(shape.Length)] = random.Next(30, 80);
            QuantizedTensor x = Random(random, shape, p);
            int[] order = [.. Enumerable.Range(0, shape.Length)];
            random.Shuffle(order);
            int[]?[] picks = [.. shape.Select(size => random.Next(3) == 0 ? null : Enumerable.Range(0, random.Next(0, 12)).Select(_ => random.Next(size)).Order().ToArray())];
            if (draw % 4 == 0)
                picks = [.. shape.Select(size => Enumerable.Range(0, 2 * size).Select(i => i / 2).ToArray())];
            foreach (QuantizedTensor given in (QuantizedTensor[])[x, Pixels(x)])
            {
                QuantizedTensor permuted = QuantizedRearrange.Permute(given, order), picked = QuantizedRearrange.Pick(given, picks);
                Assert.Equal(order.Select(d => shape[d]), permuted.Shape);
                for (int i = 0; i < permuted.Length; i++)
                {
                    int[] at = TensorShape.Index(permuted.Dims, i), from = new int[at.Length];
                    for (int d = 0; d < at.Length; d++)
                        from[order[d]] = at[d];
                    Assert.Equal(x[from], permuted.GetInteger(i));
                }
                int axis = random.Next(shape.Length), start = random.Next(shape[axis] + 1), count = random.Next(shape[axis] - start + 1);
                QuantizedTensor cut = QuantizedRearrange.Cut(given, axis, start, count);
                Assert.Equal(shape.Select((size, d) => d == axis ? count : size), cut.Shape);
                for (int i = 0; i < cut.Length; i++)
                    Assert.Equal(x[[.. TensorShape.Index(cut.Dims, i).Select((k, d) => d == axis ? k + start : k)]], cut.GetInteger(i));
                Assert.Equal(shape.Select((size, d) => picks[d]?.Length ?? size), picked.Shape);
                for (int i = 0; i < picked.Length; i++)
                {
                    int[] at = TensorShape.Index(picked.Dims, i);
                    Assert.Equal(x[[.. at.Select((k, d) => picks[d]?[k] ?? k)]], picked.GetInteger(i));
                }
            }
        }
        Assert.Equal(0, QuantizedRearrange.Permute(Random(random, [2, 0, 3], p), [0, 2, 1]).Length);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => QuantizedRearrange.Cut(Random(random, [2, 3], p), 1, 2, 2)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => QuantizedRearrange.Permute(Random(random, [2, 3], p), [0, 0])).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => QuantizedRearrange.Pick(Random(random, [2, 3], p), [null, [3]])).ErrorId);
    }

    /// <summary>Tiles by a convolution's kernel against the reference, with every engine's formula and a bias.</summary>
    [Theory]
    [InlineData(EngineKind.OnnxRuntime)]
    [InlineData(EngineKind.Qnnpack)]
    [InlineData(EngineKind.Fbgemm)]
    [InlineData(EngineKind.OneDnn)]
    public void TransposedConvolutionsOfTiles(EngineKind engine)
    {
        var random = new Random(55);
        int tiled = 0;
        for (int draw = 0; draw < 30; draw++)
        {
            int inputs = random.Next(1, 40), outputs = random.Next(1, 40), height = random.Next(1, 9), width = random.Next(1, 9), batch = random.Next(1, 3);
            int[] kernelSize = [random.Next(1, 4), random.Next(1, 4)];
            ConvTransposeGeometry geometry = new(kernelSize, kernelSize);
            EngineProfile profile = EngineProfiles.Get(engine);
            var weight = new sbyte[inputs * outputs * geometry.Kernel[0] * geometry.Kernel[1]];
            random.NextBytes((byte[])(Array)weight);
            bool signed = engine == EngineKind.Qnnpack && draw % 2 == 0;
            ConvTransposeProblem problem = new()
            {
                Weight = weight,
                WeightZeroPoints = new int[outputs],
                InputChannels = inputs,
                OutputChannels = outputs,
                Geometry = geometry,
                InputZeroPoint = random.Next(256),
                InputFlip = signed ? (byte)0x80 : (byte)0,
                Requantizer = profile.CreateRequantizer(new RequantizationSpec
                {
                    InputScale = 0.02f,
                    WeightScales = [0.01f],
                    PerChannelWeight = false,
                    Bias = [.. Enumerable.Range(0, outputs).Select(_ => random.NextSingle() - 0.5f)],
                    OutputChannels = outputs,
                    OutputScale = 0.1f * MathF.Sqrt(inputs),
                    OutputZeroPoint = 120 - (signed ? 128 : 0),
                    OutputMin = signed ? -128 : 0,
                    OutputMax = signed ? 127 : 255,
                }),
            };
            // Null where the kernel that a variable forces works plane by plane.
            if (TiledConvTranspose.TryCreate(problem, profile.CreateRequantizer) is not { } kernel)
                continue;
            tiled++;
            byte[] x = new byte[batch * inputs * height * width], pixels = new byte[x.Length];
            random.NextBytes(x);
            LayoutConversion.ToChannelsLast(x, pixels, batch, inputs, height * width);
            int area = height * width * geometry.Kernel[0] * geometry.Kernel[1];
            byte[] expected = new byte[batch * outputs * area], y = new byte[expected.Length], actual = new byte[expected.Length];
            new ReferenceConvTranspose(problem).Run(x, batch, [height, width], expected);
            kernel.Run(pixels, batch, [height, width], y);
            LayoutConversion.ToContiguous(y, actual, batch, outputs, area);
            Assert.Equal(expected, actual);
        }
        Assert.True(tiled == 30 || Environment.GetEnvironmentVariable("QUANTPS_KERNEL") is not null || !System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated, $"{tiled}");
    }

    private static QuantizedTensor Random(Random random, int[] shape, QParams p)
    {
        QuantizedTensor t = QuantizedTensor.Allocate(shape, p);
        random.NextBytes(t.Bytes);
        return t;
    }

    private static QuantizedTensor Copy(QuantizedTensor t) => new(t.Shape, t.Bytes.ToArray(), t.QParams);

    private static QuantizedTensor Pixels(QuantizedTensor t)
    {
        if (t.Rank < 3)
            return t;
        var bytes = new byte[t.Length];
        LayoutConversion.ToChannelsLast(t.Memory, bytes, t.Dims[0], t.Dims[1], TensorShape.Count(t.Dims[2..]));
        return new QuantizedTensor(t.Shape, bytes, t.QParams, KernelLayout.ChannelsLast);
    }
}
