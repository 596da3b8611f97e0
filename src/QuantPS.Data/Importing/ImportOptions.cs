using QuantPS.Engine.Errors;

namespace QuantPS.Data.Importing;

/// <summary>What happens to the values between the file and the tensor: (value / Scale - Mean) / Std, resizing, layout, batches.</summary>
public sealed record ImportOptions
{
    public float Scale { get; init; } = 1;

    /// <summary>One value, or one per channel.</summary>
    public float[] Mean { get; init; } = [0];

    /// <summary>One value, or one per channel.</summary>
    public float[] Std { get; init; } = [1];

    /// <summary>Height and width, or null to keep the size.</summary>
    public int[]? Resize { get; init; }

    /// <summary>Images become one channel.</summary>
    public bool Grayscale { get; init; }

    /// <summary>Tensors are N, H, W, C instead of N, C, H, W: images are arranged so, arrays are taken to be so already.</summary>
    public bool ChannelsLast { get; init; }

    /// <summary>Samples a tensor; null for one image, or one array, a tensor.</summary>
    public int? BatchSize { get; init; }

    /// <summary>Stop after so many samples.</summary>
    public long First { get; init; } = long.MaxValue;

    /// <summary>Pass over so many samples.</summary>
    public long Skip { get; init; }

    /// <summary>Throws when an option makes no sense.</summary>
    /// <exception cref="QuantException">InvalidArgument.</exception>
    public void Check()
    {
        Require(float.IsFinite(Scale) && Scale != 0, $"-Scale {Scale} must be a finite number other than 0.");
        Require(Mean.Length > 0 && Array.TrueForAll(Mean, float.IsFinite), "-Mean needs one finite value, or one per channel.");
        Require(Std.Length > 0 && Array.TrueForAll(Std, s => float.IsFinite(s) && s != 0), "-Std needs one finite value other than 0, or one per channel.");
        Require(Resize is null or [> 0, > 0], "-Resize takes a height and a width, both positive.");
        Require(BatchSize is null or > 0, $"-BatchSize {BatchSize} must be positive.");
        Require(First >= 0 && Skip >= 0, "-First and -Skip must not be negative.");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new QuantException(ErrorIds.InvalidArgument, message);
    }
}
