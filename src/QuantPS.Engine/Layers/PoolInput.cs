using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>[N, C, spatial...] or [C, spatial...] taken apart.</summary>
internal readonly struct PoolInput
{
    private readonly QuantizedTensor x;

    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public PoolInput(QuantizedTensor x, int spatialRank, string what)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        if (x.Rank != spatialRank + 2 && x.Rank != spatialRank + 1)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{what} over {spatialRank} dimensions takes [N, C, spatial...] or [C, spatial...], but the input is [{TensorShape.Format(x.Dims)}].", x);
        this.x = x;
        HasBatch = x.Rank == spatialRank + 2;
        Spatial = x.Dims[^spatialRank..].ToArray();
        Channels = x.Dims[^(spatialRank + 1)];
        Batch = HasBatch ? x.Dims[0] : 1;
    }

    public bool HasBatch { get; }

    public int[] Spatial { get; }

    public int Channels { get; }

    public int Batch { get; }

    /// <summary>PyTorch takes its channels-last kernel: the tensor lies that way, or the two layouts are the same one.</summary>
    public bool IsChannelsLast(bool wanted) => HasBatch && (wanted || Channels == 1 || TensorShape.Count(Spatial) == 1);

    public int[] OutputShape(int[] spatial) => [.. x.Dims[..^Spatial.Length], .. spatial];

    public static (int D, int H, int W) Three(int[] v, int missing) => v.Length switch
    {
        1 => (missing, missing, v[0]),
        2 => (missing, v[0], v[1]),
        _ => (v[0], v[1], v[2]),
    };
}
