namespace QuantPS.Engine.Numerics;

/// <summary>How real numbers map to integers. PyTorch's torch.qscheme.</summary>
public enum QScheme
{
    PerTensorAffine,
    PerTensorSymmetric,
    PerChannelAffine,
    PerChannelSymmetric,
    PerChannelAffineFloatQParams,
}

public static class QSchemeInfo
{
    /// <summary>One scale per slice along an axis, rather than one for the whole tensor.</summary>
    public static bool IsPerChannel(this QScheme scheme) => scheme >= QScheme.PerChannelAffine;

    /// <summary>Zero point fixed at the middle of the range.</summary>
    public static bool IsSymmetric(this QScheme scheme) => scheme is QScheme.PerTensorSymmetric or QScheme.PerChannelSymmetric;

    /// <summary>PyTorch's spelling: per_channel_affine, ...</summary>
    public static string TorchName(this QScheme scheme) => scheme switch
    {
        QScheme.PerTensorAffine => "per_tensor_affine",
        QScheme.PerTensorSymmetric => "per_tensor_symmetric",
        QScheme.PerChannelAffine => "per_channel_affine",
        QScheme.PerChannelSymmetric => "per_channel_symmetric",
        _ => "per_channel_affine_float_qparams",
    };
}
