using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>-Scale -ZeroPoint -DType -Axis, as several cmdlets take them, made into <see cref="QParams"/>.</summary>
internal static class QParamsParameters
{
    /// <summary>Per tensor without an axis; per channel with one. One zero point (0 when none is given) serves every channel.</summary>
    /// <exception cref="QuantException">InvalidArgument, InvalidScale, ZeroPointOutOfRange, InvalidShape: no such axis.</exception>
    public static QParams Create(float[] scale, int[] zeroPoint, QDType dtype, int? axis, int rank)
    {
        if (axis is null && (scale.Length > 1 || zeroPoint.Length > 1))
            throw new QuantException(ErrorIds.InvalidArgument,
                $"{scale.Length} scales and {zeroPoint.Length} zero points are per channel: name the channels' dimension with -Axis (0 for weights).");
        int[] zeroPoints = zeroPoint.Length switch
        {
            0 => new int[scale.Length],
            1 => [.. Enumerable.Repeat(zeroPoint[0], scale.Length)],
            _ => zeroPoint,
        };
        return axis is int a
            ? new QParams(scale, zeroPoints, dtype, QScheme.PerChannelAffine, TensorShape.NormalizeAxis(a, rank))
            : new QParams(scale, zeroPoints, dtype, QScheme.PerTensorAffine, -1);
    }
}
