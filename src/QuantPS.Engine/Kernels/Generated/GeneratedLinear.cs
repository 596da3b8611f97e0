using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Linear layers by machine code: the convolution of one pixel, with the rows as pixels.</summary>
internal sealed class GeneratedLinear : LinearKernel, IDisposable
{
    private readonly GeneratedConv conv;

    private GeneratedLinear(GeneratedConv conv) => this.conv = conv;

    public override string Name => "generated-linear-avx512vnni";

    /// <summary>The kernel, or null where <see cref="GeneratedConv"/> has none.</summary>
    public static LinearKernel? TryCreate(LinearProblem problem)
    {
        GeneratedConv? conv = GeneratedConv.TryCreate(new ConvProblem
        {
            Weight = problem.Weight,
            WeightZeroPoints = problem.WeightZeroPoints,
            OutputChannels = problem.OutputFeatures,
            ChannelsPerGroup = problem.InputFeatures,
            Geometry = new ConvGeometry([1, 1]),
            InputZeroPoint = problem.InputZeroPoint,
            InputFlip = problem.InputFlip,
            Requantizer = problem.Requantizer,
        });
        return conv is null ? null : new GeneratedLinear(conv);
    }

    public override void Run(ReadOnlyMemory<byte> input, int rows, Memory<byte> output)
    {
        if (rows > 0)
            conv.Run(input, 1, 1, rows, output);
    }

    public void Dispose() => conv.Dispose();
}
