using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>What an observer has seen, as it is written to files: see <see cref="Observer.Save"/> and <see cref="ObserverJson"/>.</summary>
public sealed class ObserverState
{
    /// <summary>The version that is written.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Version of this form.</summary>
    public int Version { get; set; } = CurrentVersion;

    /// <summary>The observer and its arguments.</summary>
    public ObserverSpec Spec { get; set; } = null!;

    public long BatchCount { get; set; }

    public long ElementCount { get; set; }

    public long NonFiniteCount { get; set; }

    /// <summary>The statistics: one part, one a histogram, one a tensor, as the observer has it.</summary>
    public ObserverPart[] Parts { get; set; } = [];

    /// <exception cref="QuantException">FileFormat: not exactly one part.</exception>
    internal ObserverPart Only() => Parts.Length == 1 ? Parts[0] : throw Damaged($"{Parts.Length} parts");

    internal static QuantException Damaged(string what) =>
        new(ErrorIds.FileFormat, $"The observer's state is damaged: {what}. Export the calibration again, or calibrate again.");
}

/// <summary>A piece of an observer's statistics. Which fields are used depends on the observer; the others are null.</summary>
public sealed class ObserverPart
{
    /// <summary>Smallest values: one, or one a channel.</summary>
    public float[]? Min { get; set; }

    /// <summary>Largest values.</summary>
    public float[]? Max { get; set; }

    /// <summary>PyTorch's histogram: float32 counts, fractions once it was re-binned. Empty when nothing was seen.</summary>
    public float[]? Counts { get; set; }

    /// <summary>ONNX Runtime's histogram: whole counts.</summary>
    public long[]? Tally { get; set; }

    /// <summary>Edges of ONNX Runtime's histogram.</summary>
    public float[]? Edges { get; set; }

    /// <summary>Shape of a recorded tensor.</summary>
    public int[]? Shape { get; set; }

    /// <summary>Elements of a recorded tensor; terms of an unfinished sum.</summary>
    public float[]? Data { get; set; }

    /// <exception cref="QuantException">FileFormat: missing.</exception>
    internal T[] Some<T>(T[]? values) => values ?? throw ObserverState.Damaged("a missing field");

    /// <exception cref="QuantException">FileFormat: missing or of another length.</exception>
    internal T[] Sized<T>(T[]? values, int length) =>
        Some(values).Length == length ? values! : throw ObserverState.Damaged($"{values!.Length} values instead of {length}");

    /// <exception cref="QuantException">FileFormat: not exactly one.</exception>
    internal T One<T>(T[]? values) => Sized(values, 1)[0];
}
