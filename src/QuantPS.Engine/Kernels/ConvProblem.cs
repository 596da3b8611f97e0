using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels;

/// <summary>All that is fixed about a convolution when it is planned. Kernels pack what they like from it, once.</summary>
public sealed class ConvProblem
{
    /// <summary>qint8 weights [O, I / groups, kernel...], row-major.</summary>
    public required ReadOnlyMemory<sbyte> Weight { get; init; }

    /// <summary>One zero point per output channel.</summary>
    public required int[] WeightZeroPoints { get; init; }

    public required int OutputChannels { get; init; }

    /// <summary>Input channels of one group.</summary>
    public required int ChannelsPerGroup { get; init; }

    public required ConvGeometry Geometry { get; init; }

    /// <summary>Zero point of the input bytes after <see cref="InputFlip"/>; also what padding holds. 0 to 255.</summary>
    public required int InputZeroPoint { get; init; }

    /// <summary>0x80 for qint8 input (the byte xor 0x80 is the integer plus 128), 0 for quint8.</summary>
    public required byte InputFlip { get; init; }

    public required Requantizer Requantizer { get; init; }

    public int InputChannels => ChannelsPerGroup * Geometry.Groups;

    /// <summary>Products per output: channels of a group times taps.</summary>
    public int Depth => Weight.Length / OutputChannels;
}
