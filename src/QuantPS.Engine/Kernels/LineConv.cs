using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels;

/// <summary>Convolution along one dimension: a signal is an image of one row, and so the kernels for images take it.</summary>
internal sealed class LineConv : ConvKernel, IDisposable
{
    private readonly ConvKernel image;

    /// <param name="image">The kernel for what <see cref="ImageOf"/> makes of the problem.</param>
    public LineConv(ConvKernel image) => this.image = image;

    public override string Name => image.Name;

    /// <inheritdoc/>
    public override KernelLayout Layout => image.Layout;

    /// <summary>The same convolution with a height of 1. The weights lie as they did.</summary>
    /// <param name="line">Of one dimension.</param>
    public static ConvProblem ImageOf(ConvProblem line)
    {
        ConvGeometry g = line.Geometry;
        return new ConvProblem
        {
            Weight = line.Weight,
            WeightZeroPoints = line.WeightZeroPoints,
            OutputChannels = line.OutputChannels,
            ChannelsPerGroup = line.ChannelsPerGroup,
            Geometry = new ConvGeometry([1, g.Kernel[0]], [1, g.Stride[0]], [0, g.PadBegin[0]], [0, g.PadEnd[0]], [1, g.Dilation[0]], g.Groups) { Reflect = g.Reflect },
            InputZeroPoint = line.InputZeroPoint,
            InputFlip = line.InputFlip,
            Requantizer = line.Requantizer,
        };
    }

    /// <inheritdoc/>
    public override bool AddsInPlace(in BinaryRule rule) => image.AddsInPlace(rule);

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output) => image.Run(input, batch, [1, inputSpatial[0]], output);

    /// <inheritdoc/>
    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, in ConvResidual residual) =>
        image.Run(input, batch, [1, inputSpatial[0]], output, residual);

    public void Dispose() => (image as IDisposable)?.Dispose();
}
