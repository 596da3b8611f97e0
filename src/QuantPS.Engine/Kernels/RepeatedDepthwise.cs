using System.Buffers;
using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels;

/// <summary>Depthwise convolution with several output channels of each input channel: the input's channels are repeated, and then each has one.</summary>
internal sealed class RepeatedDepthwise : ConvKernel, IDisposable
{
    private readonly ConvKernel depthwise;
    private readonly ChannelPickKernel repeat;
    private readonly int inputs;

    private RepeatedDepthwise(ConvProblem problem, ConvKernel depthwise)
    {
        this.depthwise = depthwise;
        inputs = problem.InputChannels;
        int each = problem.OutputChannels / inputs;
        repeat = new ChannelPickKernel(inputs, [.. Enumerable.Range(0, problem.OutputChannels).Select(c => c / each)]);
    }

    public override string Name => $"repeated-{depthwise.Name}";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <summary>The kernel, or null for other than one input channel and several output channels a group.</summary>
    /// <param name="problem">The layer.</param>
    /// <param name="tryCreate">Makes a channels-last kernel for one output channel a group, or null.</param>
    public static ConvKernel? TryCreate(ConvProblem problem, Func<ConvProblem, ConvKernel?> tryCreate)
    {
        ConvGeometry g = problem.Geometry;
        if (problem.ChannelsPerGroup != 1 || problem.OutputChannels <= g.Groups)
            return null;
        ConvKernel? depthwise = tryCreate(new ConvProblem
        {
            Weight = problem.Weight,
            WeightZeroPoints = problem.WeightZeroPoints,
            OutputChannels = problem.OutputChannels,
            ChannelsPerGroup = 1,
            Geometry = new ConvGeometry(g.Kernel, g.Stride, g.PadBegin, g.PadEnd, g.Dilation, problem.OutputChannels),
            InputZeroPoint = problem.InputZeroPoint,
            InputFlip = problem.InputFlip,
            Requantizer = problem.Requantizer,
        });
        return depthwise is null ? null : new RepeatedDepthwise(problem, depthwise);
    }

    /// <inheritdoc/>
    public override bool AddsInPlace(in BinaryRule rule) => depthwise.AddsInPlace(rule);

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        byte[] repeated = Repeated(input, out Memory<byte> all);
        depthwise.Run(all, batch, inputSpatial, output);
        ArrayPool<byte>.Shared.Return(repeated);
    }

    /// <inheritdoc/>
    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, in ConvResidual residual)
    {
        byte[] repeated = Repeated(input, out Memory<byte> all);
        depthwise.Run(all, batch, inputSpatial, output, residual);
        ArrayPool<byte>.Shared.Return(repeated);
    }

    public void Dispose() => (depthwise as IDisposable)?.Dispose();

    private byte[] Repeated(ReadOnlyMemory<byte> input, out Memory<byte> all)
    {
        int bytes = checked(input.Length / inputs * repeat.Count);
        byte[] repeated = ArrayPool<byte>.Shared.Rent(bytes);
        all = repeated.AsMemory(0, bytes);
        repeat.Run(input, all);
        return repeated;
    }
}
