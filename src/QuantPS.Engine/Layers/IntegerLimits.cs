using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>8-bit activations kept between two integers: min(max(q, low), high). Layout and parameters stay as they are. <see cref="QuantizedClamp"/> takes real ones.</summary>
/// <param name="low">Lower limit, in the dtype's range.</param>
/// <param name="high">Upper limit, in the dtype's range.</param>
public sealed class IntegerLimits(int low, int high)
{
    /// <param name="x">Any shape; quint8 or qint8.</param>
    /// <param name="inPlace">Write over it: nobody needs it any more.</param>
    public QuantizedTensor Run(QuantizedTensor x, bool inPlace = false)
    {
        // A tensor of its own where the old one is still needed: whoever gets it may write over it.
        if (inPlace && (low, high) == x.DType.Range())
            return x;
        bool isLast = x.TryGetChannelsLast(out Memory<byte> bytes);
        bytes = isLast ? bytes : x.Memory;
        KernelLayout layout = isLast ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        Memory<byte> output = bytes;
        QuantizedTensor y = inPlace ? x.With(x.QParams) : OperatorChecks.NewTensor(x.Shape, x.QParams, x, layout, out output);
        ClampKernel.Run(bytes, output, low, high, x.DType);
        return y;
    }
}
