using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>A window's sum of (x - z) to its mean, rounded: the formulas named at <see cref="QuantizedAveragePool"/>.</summary>
internal readonly struct PoolMean(QParams p, bool qnnpack, bool zeroPointAfter, int channels, LayerOptions options, bool viaReciprocal = false)
{
    private readonly int low = p.DType.Range().Min, high = p.DType.Range().Max, zeroPoint = p.ZeroPoints[0];
    private readonly float scale = p.Scales[0];
    private readonly int vectorChannels = !options.Compat ? channels : channels - channels % (options.TorchVersion == TorchVersion.V1_13 ? 8 : 16);

    public byte Apply(int sum, int divisor, int channel)
    {
        float steps;
        if (qnnpack)
        {
            steps = Rounding.HalfToEven(sum * (scale / (scale * divisor))) + zeroPoint;
        }
        else if (zeroPointAfter)
        {
            float factor = 1f / divisor;
            if (viaReciprocal || channel >= vectorChannels)
                factor = 1f / (1f / factor);
            steps = Rounding.HalfToEven(sum * factor) + zeroPoint;
        }
        else
        {
            steps = Rounding.HalfToEven(sum * (1f / divisor) + zeroPoint);
        }
        return unchecked((byte)(int)Math.Clamp(steps, low, high));
    }
}
