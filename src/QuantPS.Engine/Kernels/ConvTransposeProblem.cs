using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels;

/// <summary>All that is fixed about a transposed convolution when it is planned.</summary>
public sealed class ConvTransposeProblem
{
    /// <summary>qint8 weights [I, O / groups, kernel...], row-major.</summary>
    public required ReadOnlyMemory<sbyte> Weight { get; init; }

    /// <summary>One zero point per output channel.</summary>
    public required int[] WeightZeroPoints { get; init; }

    public required int InputChannels { get; init; }

    public required int OutputChannels { get; init; }

    public required ConvTransposeGeometry Geometry { get; init; }

    /// <summary>Zero point of the input bytes after <see cref="InputFlip"/>. 0 to 255.</summary>
    public required int InputZeroPoint { get; init; }

    /// <summary>0x80 for qint8 input, 0 for quint8.</summary>
    public required byte InputFlip { get; init; }

    public required Requantizer Requantizer { get; init; }
}
