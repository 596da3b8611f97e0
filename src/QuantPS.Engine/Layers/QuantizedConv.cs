using System.Buffers;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A quantized convolution, PyTorch's quantized.Conv1d/2d/3d and their ReLU forms.</summary>
public sealed class QuantizedConv : QuantizedWeightLayer
{
    private readonly ConvGeometry kernelGeometry;
    private readonly PlanCache<Plan> plans;

    /// <param name="weight">qint8 [O, I / groups, kernel...], per tensor or per channel along axis 0.</param>
    /// <param name="bias">float32 [O], or null.</param>
    /// <param name="geometry">Window, stride, padding, dilation, groups.</param>
    /// <param name="input">8-bit parameters that inputs are expected in.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Name, ReLU, compat.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, AsymmetricWeightRefused, InvalidRequantizationScale, InvalidForcedKernel.</exception>
    public QuantizedConv(QuantizedTensor weight, float[]? bias, ConvGeometry geometry, QParams input, QParams output, EngineKind engine = EngineKind.X86,
        LayerOptions? options = null)
        : this(weight, bias, null, geometry, input, output, engine, options ?? new LayerOptions())
    {
    }

    private QuantizedConv(QuantizedTensor weight, float[]? bias, int[]? integerBias, ConvGeometry geometry, QParams input, QParams output, EngineKind engine,
        LayerOptions options)
        : base(weight, bias, input, output, engine, options, isConv: true, geometry.Groups, integerBias: integerBias)
    {
        Geometry = geometry;
        if (weight.Rank != geometry.SpatialRank + 2)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: the weight [{TensorShape.Format(weight.Dims)}] must be [output channels, input channels / groups, {geometry.SpatialRank} kernel sizes].", weight);
        for (int d = 0; d < geometry.SpatialRank; d++)
        {
            if (weight.Dims[d + 2] != geometry.Kernel[d])
                throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: the weight [{TensorShape.Format(weight.Dims)}] does not have the kernel [{TensorShape.Format(geometry.Kernel)}].", weight);
        }
        if (OutputChannels % geometry.Groups != 0)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: {OutputChannels} output channels cannot be split into {geometry.Groups} groups.", weight);
        if (geometry.Reflect && geometry.SpatialRank == 3)
            throw new QuantException(ErrorIds.UnsupportedOperator, $"{Label}: PyTorch has no reflection padding for quantized 3-D convolutions. Pad with zeros.", this);
        // Reflection padding is done to the input; the kernels then pad nothing.
        kernelGeometry = geometry.Reflect ? new ConvGeometry(geometry.Kernel, geometry.Stride, null, null, geometry.Dilation, geometry.Groups) : geometry;
        plans = new(input, MakePlan);
    }

    /// <summary>A layer of a model that holds the bias as int32, as ONNX does; with ONNX Runtime's arithmetic. The integers are taken as they are;
    /// <see cref="QuantizedWeightLayer.Bias"/> shows what they stand for.</summary>
    /// <param name="weight">qint8 [O, I / groups, kernel...], per tensor or per channel along axis 0.</param>
    /// <param name="bias">[O], in steps of input scale x weight scale.</param>
    /// <param name="geometry">Window, stride, padding, dilation, groups.</param>
    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="options">Name, ReLU.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, InvalidForcedKernel.</exception>
    public static QuantizedConv FromIntegerBias(QuantizedTensor weight, int[] bias, ConvGeometry geometry, QParams input, QParams output, LayerOptions? options = null) =>
        new(weight, BiasValues(bias, weight, input), bias, geometry, input, output, EngineKind.OnnxRuntime, options ?? new LayerOptions());

    public ConvGeometry Geometry { get; }

    public int InputChannels => Weight.Dims[1] * Geometry.Groups;

    /// <inheritdoc/>
    public override string KernelName => plans.Own.Kernel.Name;

    /// <inheritdoc/>
    public override Requantizer Requantizer => plans.Own.Requantizer;

    /// <inheritdoc/>
    public override QuantizedTensor Run(QuantizedTensor x)
    {
        int[] outputShape = OutputShape(x);
        Plan plan = plans.For(x.QParams);
        QuantizedTensor y = OperatorChecks.NewTensor(outputShape, OutputQParams, x, plan.Kernel.Layout, out Memory<byte> output);
        RunKernel(plan.Kernel, x, output, null);
        return y;
    }

    /// <summary>The convolution and the sum of its result with another tensor, as a residual block has it: <paramref name="add"/> of both, while the outputs are in
    /// the cache. The same integers as one after the other.</summary>
    /// <param name="x">The convolution's input.</param>
    /// <param name="other">The other operand of the sum.</param>
    /// <param name="add">The sum.</param>
    /// <param name="spent">The other operand's memory may be written over.</param>
    /// <param name="otherIsFirst">The other operand is the sum's first one, the convolution's result its second.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor RunAndAdd(QuantizedTensor x, QuantizedTensor other, QuantizedAdd add, bool spent = false, bool otherIsFirst = false)
    {
        int[] outputShape = OutputShape(x);
        Plan plan = plans.For(x.QParams);
        if (plan.Kernel.Layout != KernelLayout.ChannelsLast || !other.Dims.SequenceEqual(outputShape) || RuleFor(add, other, otherIsFirst) is not { } rule)
            return AddAfterwards(Run(x), other, add, spent, otherIsFirst);
        // What lies plane by plane is turned: else the sum, and the layers behind it, would lie so too.
        Memory<byte> turned = default;
        if (!other.TryGetChannelsLast(out Memory<byte> terms))
        {
            terms = turned = ActivationPool.Allocate(other.Length);
            LayoutConversion.ToChannelsLast(other.Memory, turned, other.Dims[0], other.Dims[1], TensorShape.Count(other.Dims[2..]));
        }
        QuantizedTensor y;
        Memory<byte> output = terms;
        bool inPlace = (spent || !turned.IsEmpty) && plan.Kernel.AddsInPlace(rule);
        if (inPlace)
            y = new QuantizedTensor(outputShape, terms, add.OutputQParams, KernelLayout.ChannelsLast) { Source = x.Source };
        else
            y = OperatorChecks.NewTensor(outputShape, add.OutputQParams, x, KernelLayout.ChannelsLast, out output);
        RunKernel(plan.Kernel, x, output, new ConvResidual(terms, rule));
        if (!inPlace)
            ActivationPool.Return(turned);
        return y;
    }

    private static QuantizedTensor AddAfterwards(QuantizedTensor own, QuantizedTensor other, QuantizedAdd add, bool spent, bool otherIsFirst)
    {
        QuantizedTensor y = otherIsFirst
            ? add.Run(other, own, SpentOperand.Second | (spent ? SpentOperand.First : SpentOperand.None))
            : add.Run(own, other, SpentOperand.First | (spent ? SpentOperand.Second : SpentOperand.None));
        // Adding may have turned it, and has written over one of both.
        foreach (Memory<byte> memory in (ReadOnlySpan<Memory<byte>>)[own.AnyLayout, own.LeftLayout])
        {
            if (!memory.IsEmpty && !memory.Equals(y.AnyLayout))
                ActivationPool.Return(memory);
        }
        return y;
    }

    /// <summary>The sum's rule with the convolution's output as its first operand.</summary>
    private BinaryRule? RuleFor(QuantizedAdd add, QuantizedTensor other, bool otherIsFirst) =>
        otherIsFirst ? add.RuleFor(other.QParams, OutputQParams)?.Swapped() : add.RuleFor(OutputQParams, other.QParams);

    /// <summary>Results stay in the kernel's layout; an input that lies plane by plane is turned for a kernel that wants pixels.</summary>
    private void RunKernel(ConvKernel kernel, QuantizedTensor x, Memory<byte> output, ConvResidual? residual)
    {
        if (Geometry.Reflect)
            x = ReflectionPadding.Apply(x, Geometry.PadBegin, Geometry.PadEnd);
        int batch = x.Dims[0];
        int[] spatial = x.Dims[2..].ToArray();
        byte[]? turned = null;
        Memory<byte> input = default;
        bool lies = kernel.Layout == KernelLayout.ChannelsLast && x.TryGetChannelsLast(out input);
        if (!lies)
            input = x.Memory;
        if (!lies && kernel.Layout == KernelLayout.ChannelsLast)
        {
            turned = ArrayPool<byte>.Shared.Rent(x.Length);
            LayoutConversion.ToChannelsLast(input, turned, batch, x.Dims[1], TensorShape.Count(spatial));
            input = turned.AsMemory(0, x.Length);
        }
        if (residual is { } given)
            kernel.Run(input, batch, spatial, output, given);
        else
            kernel.Run(input, batch, spatial, output);
        if (turned is not null)
            ArrayPool<byte>.Shared.Return(turned);
    }

    /// <summary>Shape of the result for an input, which is checked.</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public int[] OutputShape(QuantizedTensor x)
    {
        CheckActivation(x.QParams, "input");
        if (x.Rank != Geometry.SpatialRank + 2 || x.Dims[1] != InputChannels)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label} expects [N, {InputChannels}, {string.Join(", ", "DHW"[(3 - Geometry.SpatialRank)..].ToCharArray())}], but the input is [{TensorShape.Format(x.Dims)}].", x);
        return [x.Dims[0], OutputChannels, .. Geometry.OutputSize(x.Dims[2..])];
    }

    /// <summary>Every step that leads to one output integer.</summary>
    /// <param name="x">Quantized input.</param>
    /// <param name="at">Index of the output: n, c, spatial...</param>
    /// <exception cref="QuantException">InvalidShape: the index is outside the output.</exception>
    public ConvTrace Trace(QuantizedTensor x, params int[] at)
    {
        int[] outputShape = OutputShape(x);
        int offset = TensorShape.Offset(outputShape, at);
        at = TensorShape.Index(outputShape, offset);
        int channel = at[1], weightZeroPoint = Weight.QParams.ZeroPoints[Weight.QParams.IsPerChannel ? channel : 0];
        ConvTap[] taps = Taps(x, at, weightZeroPoint);
        int accumulator = 0;
        foreach (ConvTap tap in taps)
            accumulator = unchecked(accumulator + tap.Product);
        float weightScale = Weight.QParams.Scales[Weight.QParams.IsPerChannel ? channel : 0];
        return ConvTrace.Create(this, at, channel, taps, x.QParams.ZeroPoints[0], weightZeroPoint, x.QParams.Scales[0], weightScale, plans.For(x.QParams).Requantizer.Trace(accumulator, channel));
    }

    private ConvTap[] Taps(QuantizedTensor x, int[] at, int weightZeroPoint)
    {
        int perGroup = Weight.Dims[1], group = at[1] / (OutputChannels / Geometry.Groups), spatial = Geometry.SpatialRank;
        int depth = Weight.Length / OutputChannels, inputZeroPoint = x.QParams.ZeroPoints[0];
        int[] windowShape = [perGroup, .. Geometry.Kernel];
        var taps = new ConvTap[depth];
        for (int t = 0; t < depth; t++)
        {
            int[] k = TensorShape.Index(windowShape, t);
            var position = new int[spatial];
            bool inside = true;
            for (int d = 0; d < spatial; d++)
            {
                position[d] = at[d + 2] * Geometry.Stride[d] - Geometry.PadBegin[d] + k[d + 1] * Geometry.Dilation[d];
                if (Geometry.Reflect)
                    position[d] = ReflectionPadding.Source(position[d], x.Dims[d + 2]);
                inside &= (uint)position[d] < (uint)x.Dims[d + 2];
            }
            int channel = group * perGroup + k[0];
            int input = inside ? x[[at[0], channel, .. position]] : inputZeroPoint;
            int weight = Weight.GetInteger(at[1] * depth + t);
            taps[t] = new ConvTap(channel, position, !inside, input, weight, (input - inputZeroPoint) * (weight - weightZeroPoint));
        }
        return taps;
    }

    private Plan MakePlan(QParams input)
    {
        Requantizer requantizer = CreateRequantizer(input, biasPackedThroughFloat: !kernelGeometry.IsPointwise);
        KernelSelector.CheckForced();
        return new Plan(requantizer, () => MakeKernel(input, requantizer));
    }

    private ConvKernel MakeKernel(QParams input, Requantizer requantizer)
    {
        var problem = new ConvProblem
        {
            Weight = WeightIntegers(),
            WeightZeroPoints = WeightZeroPoints(),
            OutputChannels = OutputChannels,
            ChannelsPerGroup = Weight.Dims[1],
            Geometry = kernelGeometry,
            InputZeroPoint = FlippedZeroPoint(input),
            InputFlip = FlipOf(input),
            Requantizer = requantizer,
        };
        return Options.Compat && EffectiveEngine == EngineKind.Fbgemm && PairSaturatingConv.Applies(problem)
            ? new PairSaturatingConv(problem)
            : KernelSelector.Select(problem);
    }

    /// <summary>Weights are packed when the layer first runs: who only looks at a conversion's parameters, or writes it to a file, does not wait
    /// for that.</summary>
    private sealed class Plan(Requantizer requantizer, Func<ConvKernel> make)
    {
        private readonly Lazy<ConvKernel> kernel = new(make);

        public Requantizer Requantizer => requantizer;

        public ConvKernel Kernel => kernel.Value;
    }

    public override string ToString() => $"QuantizedConv {Name} {InputChannels}->{OutputChannels} {Geometry} ({EffectiveEngine})";
}
