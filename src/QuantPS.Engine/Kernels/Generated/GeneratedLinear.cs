using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Linear layers by machine code: the convolution of one pixel, with the rows as pixels.</summary>
internal sealed class GeneratedLinear : LinearKernel, IDisposable
{
    private readonly TiledConv conv;

    private GeneratedLinear(TiledConv conv) => this.conv = conv;

    public override string Name => $"generated-linear-{conv.Isa}";

    /// <summary>The kernel, or null where there is none for the convolution.</summary>
    /// <param name="problem">The layer.</param>
    /// <param name="tryCreate">Makes the convolution of an instruction set, or null.</param>
    public static LinearKernel? TryCreate(LinearProblem problem, Func<ConvProblem, TiledConv?> tryCreate)
    {
        TiledConv? conv = tryCreate(new ConvProblem
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
