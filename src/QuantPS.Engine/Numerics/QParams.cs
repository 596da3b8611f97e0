using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Numerics;

/// <summary>Quantization parameters of a tensor: real value = scale * (integer - zero point).</summary>
/// <remarks>Scales are float32; one per tensor, or one per slice along <see cref="Axis"/>.</remarks>
public sealed class QParams
{
    private readonly float[] scales;
    private readonly int[] zeroPoints;
    private readonly float[]? floatZeroPoints;

    /// <summary>Per tensor.</summary>
    /// <exception cref="QuantException">InvalidScale, ZeroPointOutOfRange.</exception>
    public QParams(float scale, int zeroPoint, QDType dtype, QScheme scheme = QScheme.PerTensorAffine)
        : this([scale], [zeroPoint], dtype, scheme.IsPerChannel() ? QScheme.PerTensorAffine : scheme, -1)
    {
    }

    /// <summary>General form. Per channel when <paramref name="scheme"/> says so; then <paramref name="axis"/> names the dimension.</summary>
    /// <param name="scales">One, or one per channel.</param>
    /// <param name="zeroPoints">As many.</param>
    /// <param name="dtype">Storage type.</param>
    /// <param name="scheme">How real numbers map to integers.</param>
    /// <param name="axis">The channel dimension; ignored per tensor.</param>
    /// <param name="floatZeroPoints">For per_channel_affine_float_qparams and only there: the zero points, which are float32 (the integer ones are then 0).</param>
    /// <exception cref="QuantException">InvalidScale, ZeroPointOutOfRange, InvalidArgument (lengths differ).</exception>
    public QParams(float[] scales, int[] zeroPoints, QDType dtype, QScheme scheme, int axis, float[]? floatZeroPoints = null)
    {
        if ((floatZeroPoints is null) == (scheme == QScheme.PerChannelAffineFloatQParams) || (floatZeroPoints is not null && floatZeroPoints.Length != scales.Length))
            throw new QuantException(ErrorIds.InvalidArgument, $"Float zero points belong to {QScheme.PerChannelAffineFloatQParams.TorchName()}, one a scale, and to no other scheme.");
        if (scales.Length != zeroPoints.Length || scales.Length == 0)
            throw new QuantException(ErrorIds.InvalidArgument, $"{scales.Length} scales and {zeroPoints.Length} zero points: give as many of one as of the other, at least one.");
        if (!scheme.IsPerChannel() && scales.Length != 1)
            throw new QuantException(ErrorIds.InvalidArgument, $"A per-tensor scheme has one scale, not {scales.Length}. Name the axis for per-channel parameters.");
        (int min, int max) = dtype.Range();
        for (int i = 0; i < scales.Length; i++)
        {
            if (float.IsNaN(scales[i]) || scales[i] <= 0)
                throw new QuantException(ErrorIds.InvalidScale, $"Scale {scales[i]}{Where(i)} is not a positive number.");
            if (zeroPoints[i] < min || zeroPoints[i] > max)
                throw new QuantException(ErrorIds.ZeroPointOutOfRange, $"Zero point {zeroPoints[i]}{Where(i)} is outside the range of {dtype.TorchName()}, {min} to {max}.");
        }
        this.scales = scales;
        this.zeroPoints = zeroPoints;
        this.floatZeroPoints = floatZeroPoints;
        DType = dtype;
        Scheme = scheme;
        Axis = scheme.IsPerChannel() ? axis : -1;

        string Where(int i) => scales.Length == 1 ? "" : $" of channel {i}";
    }

    public QDType DType { get; }

    public QScheme Scheme { get; }

    /// <summary>The dimension along which scales differ; -1 per tensor.</summary>
    public int Axis { get; }

    public bool IsPerChannel => Scheme.IsPerChannel();

    /// <summary>The scales, float32; one element per tensor.</summary>
    public ReadOnlySpan<float> Scales => scales;

    /// <summary>The zero points; one element per tensor.</summary>
    public ReadOnlySpan<int> ZeroPoints => zeroPoints;

    /// <summary>The zero points of per_channel_affine_float_qparams: float32, not rounded, real value = scale * (integer - zero point). Empty for other schemes.</summary>
    public ReadOnlySpan<float> FloatZeroPoints => floatZeroPoints;

    /// <summary>True for per_channel_affine_float_qparams, whose zero points are float32.</summary>
    public bool HasFloatZeroPoints => floatZeroPoints is not null;

    /// <summary>A double per tensor, a double[] per channel. Every value is a float32 value, shown with all its digits as PyTorch's q_scale() does.</summary>
    public object Scale => IsPerChannel ? Array.ConvertAll(scales, s => (double)s) : (double)scales[0];

    /// <summary>An int per tensor, an int[] per channel; a float[] for per_channel_affine_float_qparams.</summary>
    public object ZeroPoint => floatZeroPoints?.Clone() ?? (IsPerChannel ? zeroPoints.Clone() : zeroPoints[0]);

    /// <summary>True when every zero point is 0, which is what oneDNN asks of weights.</summary>
    public bool HasZeroZeroPoints => Array.TrueForAll(zeroPoints, z => z == 0) && (floatZeroPoints is null || Array.TrueForAll(floatZeroPoints, z => z == 0));

    /// <summary>Whether integers mean the same under both: type, scheme, axis, scales, zero points.</summary>
    public bool IsSameAs(QParams other) => ReferenceEquals(this, other) || (DType == other.DType && Scheme == other.Scheme && Axis == other.Axis
        && scales.AsSpan().SequenceEqual(other.scales) && zeroPoints.AsSpan().SequenceEqual(other.zeroPoints) && FloatZeroPoints.SequenceEqual(other.FloatZeroPoints));

    /// <summary>Throws unless the parameters fit a tensor of this shape.</summary>
    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public void CheckFits(ReadOnlySpan<int> shape)
    {
        if (!IsPerChannel)
            return;
        int axis = TensorShape.NormalizeAxis(Axis, shape.Length);
        if (shape[axis] != scales.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{scales.Length} scales for {shape[axis]} channels (axis {axis} of shape [{TensorShape.Format(shape)}]).");
    }

    public override string ToString() => IsPerChannel
        ? $"{DType.TorchName()} {Scheme.TorchName()} axis {Axis}, {scales.Length} scales {scales.Min():G4}..{scales.Max():G4}"
        : $"{DType.TorchName()} {Scheme.TorchName()} scale {scales[0]:G9} zero point {zeroPoints[0]}";
}
