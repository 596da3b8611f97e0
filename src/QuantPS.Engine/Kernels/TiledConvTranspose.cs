using System.Buffers;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Kernels;

/// <summary>Transposed convolution whose windows lie side by side (stride = kernel, no padding), in two dimensions: every input pixel makes a tile of its own.
/// That is a convolution of one pixel with as many outputs as the tile has, whose rows are then put where they belong.</summary>
/// <remarks>Output [y * kh + i, x * kw + j, o] = requantize(sum over c of x[y, x, c] * w[c, o, i, j]); the outputs of the inner convolution are ordered i, j, o.</remarks>
internal sealed class TiledConvTranspose : ConvTransposeKernel
{
    private readonly ConvTransposeProblem problem;
    private readonly ConvKernel inner;

    private TiledConvTranspose(ConvTransposeProblem problem, ConvKernel inner) => (this.problem, this.inner) = (problem, inner);

    public override string Name => $"tiled-conv-transpose ({inner.Name})";

    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <param name="problem">Any.</param>
    /// <param name="create">The engine's formula for other channels.</param>
    /// <returns>null where windows overlap, leave gaps or are padded; with groups; or where the inner kernel works plane by plane.</returns>
    public static TiledConvTranspose? TryCreate(ConvTransposeProblem problem, Func<RequantizationSpec, Requantizer> create)
    {
        ConvTransposeGeometry g = problem.Geometry;
        if (g.SpatialRank != 2 || g.Groups != 1 || !g.Stride.SequenceEqual(g.Kernel) || g.Padding.Concat(g.PaddingEnd).Any(p => p != 0) || g.OutputPadding.Any(p => p != 0) || g.Dilation.Any(d => d != 1))
            return null;
        int taps = g.Kernel[0] * g.Kernel[1], outputs = problem.OutputChannels;
        var weight = new sbyte[problem.Weight.Length];
        for (int o = 0; o < outputs; o++)
        {
            for (int t = 0; t < taps; t++)
            {
                for (int c = 0; c < problem.InputChannels; c++)
                    weight[(t * outputs + o) * problem.InputChannels + c] = problem.Weight.Span[(c * outputs + o) * taps + t];
            }
        }
        RequantizationSpec spec = problem.Requantizer.Spec;
        ConvKernel inner = KernelSelector.Select(new ConvProblem
        {
            Weight = weight,
            WeightZeroPoints = Repeated(problem.WeightZeroPoints, taps),
            OutputChannels = outputs * taps,
            ChannelsPerGroup = problem.InputChannels,
            Geometry = new ConvGeometry([1, 1]),
            InputZeroPoint = problem.InputZeroPoint,
            InputFlip = problem.InputFlip,
            Requantizer = create(spec with
            {
                OutputChannels = outputs * taps,
                WeightScales = spec.WeightScales.Length == 1 ? spec.WeightScales : Repeated(spec.WeightScales, taps),
                Bias = spec.Bias is null ? null : Repeated(spec.Bias, taps),
                IntegerBias = spec.IntegerBias is null ? null : Repeated(spec.IntegerBias, taps),
            }),
        });
        return inner.Layout == KernelLayout.ChannelsLast ? new TiledConvTranspose(problem, inner) : null;
    }

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        (int height, int width) = (inputSpatial[0], inputSpatial[1]);
        (int kh, int kw) = (problem.Geometry.Kernel[0], problem.Geometry.Kernel[1]);
        int row = kw * problem.OutputChannels, pixel = kh * row;
        if (output.Length == 0)
            return;
        byte[] tiles = ArrayPool<byte>.Shared.Rent(output.Length);
        inner.Run(input, batch, inputSpatial, tiles.AsMemory(0, output.Length));
        PermuteKernel.Run(tiles.AsMemory(0, output.Length), 0, output, [batch * height, kh, width, row], [width * pixel, row, pixel, 1]);
        ArrayPool<byte>.Shared.Return(tiles);
    }

    private static T[] Repeated<T>(T[] numbers, int times) => [.. Enumerable.Repeat(numbers, times).SelectMany(n => n)];
}
