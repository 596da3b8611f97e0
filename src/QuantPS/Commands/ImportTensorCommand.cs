using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Data.Importing;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Import-Tensor: images and arrays from files, one tensor each or in batches, normalized.</summary>
[Cmdlet(VerbsData.Import, "Tensor", DefaultParameterSetName = PathSet)]
[OutputType(typeof(Tensor))]
public sealed class ImportTensorCommand : PathInputCmdlet
{
    private const string ChannelsLast = "NHWC";

    private TensorImporter? importer;
    private ProgressReporter? progress;

    /// <summary>Values are divided by it: 255 brings pixels to 0..1.</summary>
    [Parameter]
    public float Scale { get; set; } = 1;

    /// <summary>Subtracted after scaling: one value, or one per channel.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public float[] Mean { get; set; } = [0];

    /// <summary>Divided by last: one value, or one per channel.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public float[] Std { get; set; } = [1];

    /// <summary>Height and width; one number is both. Bilinear with antialiasing, as torchvision's Resize.</summary>
    [Parameter]
    [ValidateCount(1, 2)]
    public int[]? Resize { get; set; }

    /// <summary>Images become one channel, by the weights of ITU-R 601 as Pillow's "L".</summary>
    [Parameter]
    public SwitchParameter Grayscale { get; set; }

    /// <summary>NCHW (the default) or NHWC. Images are arranged so; arrays are taken to be so already.</summary>
    [Parameter]
    [ValidateSet("NCHW", ChannelsLast)]
    public string Layout { get; set; } = "NCHW";

    /// <summary>Samples a tensor; the last batch may be smaller.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int? BatchSize { get; set; }

    /// <summary>Stops after so many samples; no more of a file is read.</summary>
    [Parameter]
    [ValidateRange(0L, long.MaxValue)]
    public long First { get; set; } = long.MaxValue;

    /// <summary>Passes over so many samples.</summary>
    [Parameter]
    [ValidateRange(0L, long.MaxValue)]
    public long Skip { get; set; }

    /// <inheritdoc/>
    protected override void Begin()
    {
        importer = new TensorImporter(new ImportOptions
        {
            Scale = Scale,
            Mean = Mean,
            Std = Std,
            Resize = Resize is [int side] ? [side, side] : Resize,
            Grayscale = Grayscale,
            ChannelsLast = Layout.Equals(ChannelsLast, StringComparison.OrdinalIgnoreCase),
            BatchSize = BatchSize,
            First = First,
            Skip = Skip,
        });
        // In the middle of a pipeline the command that does the work shows the bar.
        if (MyInvocation.PipelinePosition == MyInvocation.PipelineLength)
            progress = new ProgressReporter(this, "Importing tensors", "tensors");
    }

    /// <inheritdoc/>
    protected override void ProcessFile(string file)
    {
        importer!.FileCount = FileCount;
        foreach (Tensor tensor in importer.Read(file, Cancellation))
        {
            WriteObject(tensor);
            progress?.Advance();
        }
    }

    /// <inheritdoc/>
    protected override void End()
    {
        if (importer!.Flush() is Tensor rest)
            WriteObject(rest);
        progress?.Dispose();
    }
}
