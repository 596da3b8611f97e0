using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>[N, C, spatial...] or [C, spatial...] seen as planes of depth x height x width; missing dimensions have size 1.</summary>
internal readonly struct PoolInput
{
    private readonly QuantizedTensor x;
    private readonly bool signed;

    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public PoolInput(QuantizedTensor x, int spatialRank, string what)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        if (x.Rank != spatialRank + 2 && x.Rank != spatialRank + 1)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{what} over {spatialRank} dimensions takes [N, C, spatial...] or [C, spatial...], but the input is [{TensorShape.Format(x.Dims)}].", x);
        this.x = x;
        signed = x.DType == Numerics.QDType.QInt8;
        HasBatch = x.Rank == spatialRank + 2;
        Spatial = x.Dims[^spatialRank..].ToArray();
        Channels = x.Dims[^(spatialRank + 1)];
        Planes = TensorShape.Count(x.Dims[..^spatialRank]);
        (D, H, W) = Three(Spatial, 1);
    }

    public bool HasBatch { get; }

    public int[] Spatial { get; }

    public int Channels { get; }

    /// <summary>Batch times channels.</summary>
    public int Planes { get; }

    public int D { get; }

    public int H { get; }

    public int W { get; }

    /// <summary>PyTorch takes its channels-last kernel: the tensor lies that way, or the two layouts are the same one.</summary>
    public bool IsChannelsLast(bool wanted) => HasBatch && (wanted || Channels == 1 || D * H * W == 1);

    public int[] OutputShape(int[] spatial) => [.. x.Dims[..^Spatial.Length], .. spatial];

    /// <summary>Sum of (x - zeroPoint) over [d0, d1) x [h0, h1) x [w0, w1) of a plane.</summary>
    public int Sum(int plane, int zeroPoint, int d0, int d1, int h0, int h1, int w0, int w1)
    {
        ReadOnlySpan<byte> from = x.Bytes.Slice(plane * D * H * W, D * H * W);
        int sum = 0;
        for (int d = d0; d < d1; d++)
        {
            for (int h = h0; h < h1; h++)
            {
                foreach (byte b in from.Slice((d * H + h) * W + w0, Math.Max(0, w1 - w0)))
                    sum += (signed ? (sbyte)b : b) - zeroPoint;
            }
        }
        return sum;
    }

    public static (int D, int H, int W) Three(int[] v, int missing) => v.Length switch
    {
        1 => (missing, missing, v[0]),
        2 => (missing, v[0], v[1]),
        _ => (v[0], v[1], v[2]),
    };
}
