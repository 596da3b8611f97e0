using QuantPS.Engine.Kernels;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>The numbers of a sweep case beside its shape, drawn in one place so that convolutions and linear layers meet the same ones.</summary>
internal sealed class SweepNumbers
{
    public SweepNumbers(Random random, int outputs, int depth, int inputBytes, bool wildScales)
    {
        // Few with two: where cores are busy, waiting for the other thread takes longer than the case itself.
        Threads = random.Next(10) == 0 ? 2 : 1;
        Data = random.Next(6);
        Input = Bytes(random, inputBytes, [0, 255]);
        if (Data >= SevenBits)
        {
            // Of the rare ones as many as kernels for 7 bits bear with, and sometimes too many.
            int rare = random.Next(200, 2000);
            for (int i = 0; i < Input.Length; i++)
                Input[i] &= (byte)(Data > SevenBits && random.Next(rare) == 0 ? 255 : 127);
        }
        Weight = (sbyte[])(Array)Bytes(random, outputs * depth, [0x7F, 0x80]);
        WeightZeroPoints = new int[outputs];
        if (random.Next(3) == 0)
        {
            int all = random.Next(-128, 128);
            bool same = random.Next(3) == 0;
            for (int o = 0; o < outputs; o++)
                WeightZeroPoints[o] = same ? all : random.Next(-128, 128);
        }
        InputZeroPoint = random.Next(4) == 0 ? random.GetItems([0, 128, 255], 1)[0] : random.Next(256);
        InputFlip = random.Next(3) == 0 ? (byte)0x80 : (byte)0;
        Requantizer = RandomRequantizer(random, outputs, depth, wildScales);
        (InputSide, PackedSide, OutputSide) = (Side(), Side(), Side());

        GuardSide Side() => (GuardSide)random.Next(2);
    }

    /// <summary>Threads that the kernel may use.</summary>
    public int Threads { get; }

    // Inputs of a reduced range; with this value none is above, with more some are.
    private const int SevenBits = 4;

    /// <summary>0: only the ends of the ranges, where sums are largest; <see cref="SevenBits"/> and more: inputs that hardly ever have their upper bit; else anything.</summary>
    private int Data { get; }

    public byte[] Input { get; }

    public sbyte[] Weight { get; }

    public int[] WeightZeroPoints { get; }

    public int InputZeroPoint { get; }

    public byte InputFlip { get; }

    public Requantizer Requantizer { get; }

    /// <summary>Which end of the input touches its guard page.</summary>
    public GuardSide InputSide { get; }

    /// <inheritdoc cref="InputSide"/>
    public GuardSide PackedSide { get; }

    /// <inheritdoc cref="InputSide"/>
    public GuardSide OutputSide { get; }

    public override string ToString()
    {
        RequantizationSpec spec = Requantizer.Spec;
        return $"{(Data == 0 ? "ends of the ranges" : Data >= SevenBits ? "inputs of 7 bits" : "any bytes")}, input {(InputFlip == 0 ? "quint8" : "qint8")} zero point {InputZeroPoint}, weight zero points [{string.Join(",", WeightZeroPoints.Distinct().Take(4))}], "
            + $"{Requantizer.GetType().Name} {(spec.PerChannelWeight ? "per channel" : "per tensor")}{(spec.Bias is null ? "" : " bias")}{(spec.Relu ? " ReLU" : "")}, "
            + $"input scale {spec.InputScale:R}, output scale {spec.OutputScale:R} zero point {spec.OutputZeroPoint} in {spec.OutputMin}..{spec.OutputMax}, {Threads} threads";
    }

    private byte[] Bytes(Random random, int count, byte[] ends)
    {
        if (Data == 0)
            return random.GetItems(ends, count);
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static Requantizer RandomRequantizer(Random random, int outputs, int depth, bool wild)
    {
        bool perChannel = random.Next(2) == 0, signed = random.Next(2) == 0;
        (int min, int max) = signed ? (-128, 127) : (0, 255);
        int zero = random.Next(6) == 0 ? random.GetItems([min, 0, max], 1)[0] : random.Next(min, max + 1);
        var spec = new RequantizationSpec
        {
            InputScale = Scale(0.01f + random.NextSingle()),
            WeightScales = [.. Enumerable.Range(0, perChannel ? outputs : 1).Select(_ => Scale(0.001f + random.NextSingle() * 0.1f))],
            PerChannelWeight = perChannel,
            Bias = random.Next(4) == 0 ? null : [.. Enumerable.Range(0, outputs).Select(_ => Scale((random.NextSingle() - 0.5f) * 100))],
            OutputChannels = outputs,
            OutputScale = Scale(0.5f + random.NextSingle() * MathF.Sqrt(depth)),
            OutputZeroPoint = zero,
            OutputMin = min,
            // What a fused ReLU6 or the like leaves.
            OutputMax = random.Next(12) == 0 ? random.Next(Math.Max(zero, min + 1), max + 1) : max,
            Relu = random.Next(3) == 0,
        };
        // QNNPACK refuses scales outside the normal range.
        EngineKind[] engines = wild ? [EngineKind.Fbgemm, EngineKind.OneDnn, EngineKind.OnnxRuntime] : [EngineKind.Fbgemm, EngineKind.Qnnpack, EngineKind.OneDnn, EngineKind.OnnxRuntime];
        EngineKind engine = random.GetItems(engines, 1)[0];
        return EngineProfiles.Get(engine, engine == EngineKind.OneDnn && random.Next(2) == 0 ? TorchVersion.V1_13 : TorchVersion.V2).CreateRequantizer(spec);

        float Scale(float usual) => wild && random.Next(3) == 0 ? usual * MathF.Pow(10, random.Next(-44, 39)) : usual;
    }
}

/// <summary>A convolution of the sweep: a function of its stratum and its index, so that a failed one can be had again.</summary>
internal sealed class ConvCase
{
    // Products of one case: the reference takes about a millisecond for the usual ones.
    private const long MostProducts = 300_000, MostOfLarge = 20_000_000;

    private static readonly int[][] Kernels = [[1, 1], [3, 3], [5, 5], [7, 7], [1, 3], [3, 1]];

    // For depthwise kernels, which take four columns at a time: fewer, as many, and as many as they take at all.
    private static readonly int[][] OddKernels = [[2, 2], [4, 4], [9, 1], [2, 9], [1, 32], [1, 33]];

    // All from 1 to 70, which holds every remainder of 16 and of 32, and the neighbours of further multiples of 16.
    private static readonly int[] OutputCounts = [.. Enumerable.Range(1, 70), .. from m in Enumerable.Range(5, 8) from d in new[] { -1, 0, 1 } select m * 16 + d];

    /// <summary>Parts of the sweep: what varies systematically in each (the index walks through it), the rest being random.</summary>
    public static readonly IReadOnlyDictionary<string, (int Count, Action<ConvCase, Random, int> Draw)> Strata = new Dictionary<string, (int, Action<ConvCase, Random, int>)>
    {
        ["output channels"] = (3500, (c, r, i) => c.Shape(r, 1, r.Next(1, 33), OutputCounts[i % OutputCounts.Length], Pick(r, [[1, 1], [3, 3], [1, 3], [2, 2]]), [r.Next(1, 5), r.Next(1, 9)])),
        ["pixels"] = (3600, (c, r, i) => c.Shape(r, 1, r.Next(1, 13), r.Next(1, 49), Pick(r, Kernels), [i % 3 == 0 ? r.Next(1, 20) : r.Next(1, 4), 1 + i / 3 % 60])),
        ["pointwise"] = (1500, (c, r, i) => c.Shape(r, 1, r.Next(1, 70), OutputCounts[r.Next(OutputCounts.Length)], [1, 1], [r.Next(1, 8), 1 + i % 40], plain: true)),
        ["depth"] = (3360, (c, r, i) => c.Shape(r, 1, 1 + i / Kernels.Length % 70, r.Next(1, 20), Kernels[i % Kernels.Length], [r.Next(1, 4), r.Next(1, 5)])),
        ["groups"] = (2500, (c, r, i) => c.Shape(r, r.Next(2, 7), 1 + i % 20, r.Next(1, r.Next(1, 50)), Pick(r, Kernels), [r.Next(1, 6), r.Next(1, 17)])),
        ["depthwise"] = (5000, (c, r, i) => c.Shape(r, 1 + i % 200, 1, r.Next(12) == 0 ? 2 : 1, Pick(r, [.. Kernels, .. OddKernels]), [r.Next(1, r.Next(2, 20)), r.Next(1, r.Next(2, 30))])),
        ["depthwise, several outputs"] = (2000, (c, r, i) => c.Shape(r, 1 + i % 100, 1, r.Next(2, 5), Pick(r, [.. Kernels, .. OddKernels]), [r.Next(1, r.Next(2, 12)), r.Next(1, r.Next(2, 20))])),
        ["winograd"] = (5000, (c, r, i) => c.Shape(r, 1, r.Next(i % 4 == 0 ? 1 : 16, 50), r.Next(i % 4 == 0 ? 1 : 16, 40), [3, 3], [1 + i / 14 % 14, 1 + i % 14], i % 5 == 0 ? 1_000_000 : MostProducts, dense: true)),
        ["one dimension"] = (1200, (c, r, i) => c.Any(r, [r.Next(1, 8)], [1 + i % 70])),
        ["three dimensions"] = (1200, (c, r, _) => c.Any(r, [r.Next(1, 4), r.Next(1, 4), r.Next(1, 4)], [r.Next(1, 4), r.Next(1, 4), r.Next(1, 6)])),
        ["anything"] = (2000, (c, r, _) => c.Any(r, [r.Next(1, 8), r.Next(1, 8)], [r.Next(1, 12), r.Next(1, 12)])),
        ["large"] = (60, (c, r, i) => c.Shape(r, i % 2 == 0 ? r.Next(200, 700) : r.Next(1, 3), i % 2 == 0 ? 1 : r.Next(30, 150), i % 2 == 0 ? 1 : r.Next(30, 150), Pick(r, Kernels), [r.Next(10, 60), r.Next(10, 60)], MostOfLarge)),
        ["wild scales"] = (2100, (c, r, _) => c.Any(r, [r.Next(1, 4), r.Next(1, 4)], [r.Next(1, 5), r.Next(1, 5)])),
    };

    private readonly string stratum;
    private readonly int index;

    private ConvCase(string stratum, int index)
    {
        this.stratum = stratum;
        this.index = index;
    }

    public int Batch { get; private set; }

    public int ChannelsPerGroup { get; private set; }

    public int OutputChannels { get; private set; }

    public ConvGeometry Geometry { get; private set; } = null!;

    /// <summary>Of the input.</summary>
    public int[] Spatial { get; private set; } = null!;

    public int[] OutputSpatial => Geometry.OutputSize(Spatial);

    /// <summary>Null where only the shape was asked for.</summary>
    public SweepNumbers? Numbers { get; private set; }

    public int InputChannels => ChannelsPerGroup * Geometry.Groups;

    /// <summary>What makes two shapes different.</summary>
    public string ShapeKey => $"{InputChannels}->{OutputChannels} {Geometry}/{string.Join("x", Geometry.PadEnd)} on {Batch} x [{string.Join(",", Spatial)}]";

    public ConvProblem Problem => new()
    {
        Weight = Numbers!.Weight,
        WeightZeroPoints = Numbers.WeightZeroPoints,
        OutputChannels = OutputChannels,
        ChannelsPerGroup = ChannelsPerGroup,
        Geometry = Geometry,
        InputZeroPoint = Numbers.InputZeroPoint,
        InputFlip = Numbers.InputFlip,
        Requantizer = Numbers.Requantizer,
    };

    /// <summary>The index-th case of a stratum; the same in every run.</summary>
    public static ConvCase Make(string stratum, int index, bool shapeOnly = false)
    {
        int seed = 0;
        foreach (char c in stratum)
            seed = seed * 31 + c;
        var random = new Random(unchecked(seed * 7919 + index));
        var made = new ConvCase(stratum, index);
        Strata[stratum].Draw(made, random, index);
        if (!shapeOnly)
        {
            int depth = made.ChannelsPerGroup * Product(made.Geometry.Kernel);
            made.Numbers = new SweepNumbers(random, made.OutputChannels, depth, made.Batch * made.InputChannels * Product(made.Spatial), stratum == "wild scales");
        }
        return made;
    }

    public override string ToString() => $"ConvCase.Make(\"{stratum}\", {index}): {ShapeKey}; {Numbers}";

    private void Any(Random r, int[] kernel, int[] output)
    {
        int kind = r.Next(6), groups = kind switch { 0 => r.Next(1, 70), 1 => r.Next(2, 6), _ => 1 };
        Shape(r, groups, kind == 0 ? 1 : r.Next(1, 40), kind == 0 ? r.Next(1, 3) : r.Next(1, 40), kernel, output);
    }

    /// <summary>An input size for a wanted output size; sizes shrink, the last dimension last, until the case is small enough. Plain: stride 1, no padding. Dense: stride and dilation 1.</summary>
    private void Shape(Random r, int groups, int perGroup, int outputsPerGroup, int[] kernel, int[] output, long mostProducts = MostProducts, bool plain = false, bool dense = false)
    {
        int[] stride = Draw(_ => plain || dense || r.Next(2) == 0 ? 1 : r.Next(1, 4)), dilation = Draw(_ => dense || r.Next(2) == 0 ? 1 : r.Next(1, 4));
        bool padded = !plain && r.Next(3) > 0, asymmetric = r.Next(2) == 0;
        int[] before = Draw(d => padded ? r.Next(0, kernel[d] + 1) : 0), after = Draw(d => asymmetric && padded ? r.Next(0, kernel[d] + 1) : before[d]);
        Batch = r.Next(1, 4);
        long Products() => (long)Batch * groups * outputsPerGroup * perGroup * Product(kernel) * Product(output);
        for (int d = -1; d < output.Length; d++)
        {
            while (Products() > mostProducts && (d < 0 ? Batch : output[d]) > 1)
                _ = d < 0 ? Batch-- : output[d]--;
        }
        Spatial = new int[kernel.Length];
        for (int d = 0; d < kernel.Length; d++)
        {
            // What is left over behind the last window is part of the sweep as well.
            int needed = (output[d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1 + r.Next(stride[d]);
            while (needed - before[d] - after[d] < 1)
                _ = after[d] > 0 ? after[d]-- : before[d]--;
            Spatial[d] = needed - before[d] - after[d];
        }
        ChannelsPerGroup = perGroup;
        OutputChannels = groups * outputsPerGroup;
        Geometry = new ConvGeometry(kernel, stride, before, after, dilation, groups);

        int[] Draw(Func<int, int> value) => [.. Enumerable.Range(0, kernel.Length).Select(value)];
    }

    private static int[] Pick(Random r, int[][] choices) => choices[r.Next(choices.Length)];

    private static int Product(int[] values) => values.Aggregate(1, (a, b) => a * b);
}

/// <summary>A linear layer of the sweep.</summary>
internal sealed class LinearCase
{
    public const int Count = 3000;

    private readonly int index;

    private LinearCase(int index)
    {
        this.index = index;
        var random = new Random(index);
        // Every remainder of the 32 bytes of a vector, of the tiles of rows and of outputs.
        InputFeatures = 1 + index % 300;
        OutputFeatures = random.Next(1, 71);
        Rows = random.Next(1, 14);
        Numbers = new SweepNumbers(random, OutputFeatures, InputFeatures, Rows * InputFeatures, wildScales: index % 20 == 0);
    }

    public int Rows { get; }

    public int InputFeatures { get; }

    public int OutputFeatures { get; }

    public SweepNumbers Numbers { get; }

    public LinearProblem Problem => new()
    {
        Weight = Numbers.Weight,
        WeightZeroPoints = Numbers.WeightZeroPoints,
        OutputFeatures = OutputFeatures,
        InputFeatures = InputFeatures,
        InputZeroPoint = Numbers.InputZeroPoint,
        InputFlip = Numbers.InputFlip,
        Requantizer = Numbers.Requantizer,
    };

    /// <summary>The index-th case; the same in every run.</summary>
    public static LinearCase Make(int index) => new(index);

    public override string ToString() => $"LinearCase.Make({index}): {InputFeatures}->{OutputFeatures}, {Rows} rows; {Numbers}";
}
