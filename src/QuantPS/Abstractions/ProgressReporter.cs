using System.Globalization;
using System.Management.Automation;

namespace QuantPS.Abstractions;

/// <summary>Progress of long work: how many, how fast, how much longer. At most 10 updates a second, none at all for work under half a second.</summary>
/// <remarks>Used from the pipeline's thread only. Dispose closes the bar if one was shown.</remarks>
public sealed class ProgressReporter : IDisposable
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(0.1);

    private readonly Action<ProgressRecord> write;
    private readonly string activity;
    private readonly string unit;
    private readonly TimeProvider clock;
    private readonly long start;
    private TimeSpan last = TimeSpan.MinValue;
    private bool shown;

    /// <param name="cmdlet">Whose Write-Progress is used.</param>
    /// <param name="activity">What is being done: "Calibrating resnet8".</param>
    /// <param name="unit">What is counted, in the plural: "images".</param>
    /// <param name="total">How many there will be; null when nobody knows (a pipeline).</param>
    public ProgressReporter(Cmdlet cmdlet, string activity, string unit, long? total = null)
        : this(cmdlet.WriteProgress, activity, unit, total, TimeProvider.System)
    {
    }

    /// <summary>With another sink and clock.</summary>
    public ProgressReporter(Action<ProgressRecord> write, string activity, string unit, long? total, TimeProvider clock)
    {
        this.write = write;
        this.activity = activity;
        this.unit = unit;
        this.clock = clock;
        Total = total;
        start = clock.GetTimestamp();
    }

    /// <summary>Number of the bar, when a command shows several.</summary>
    public int Id { get; init; }

    /// <summary>The bar under which this one is shown; -1 for none.</summary>
    public int ParentId { get; init; } = -1;

    /// <summary>How many there will be, if that is known; may become known on the way.</summary>
    public long? Total { get; set; }

    /// <summary>How many are done.</summary>
    public long Done { get; private set; }

    /// <summary>Counts more work as done and shows it when it is time to.</summary>
    public void Advance(long count = 1)
    {
        Done += count;
        TimeSpan elapsed = clock.GetElapsedTime(start);
        if (elapsed < Quiet || (shown && elapsed - last < Interval))
            return;
        last = elapsed;
        shown = true;
        double rate = Done / elapsed.TotalSeconds;
        string count1 = Done.ToString(CultureInfo.InvariantCulture);
        string speed = rate.ToString(rate < 10 ? "0.0" : "0", CultureInfo.InvariantCulture);
        ProgressRecord record = new(Id, activity, Total is long n ? $"{count1}/{n} {unit}  {speed}/s" : $"{count1} {unit}  {speed}/s")
        {
            ParentActivityId = ParentId,
        };
        if (Total is > 0 and long total)
        {
            record.PercentComplete = (int)Math.Min(100, Done * 100 / total);
            // Nothing done yet says nothing about the rest.
            if (Done > 0)
                record.SecondsRemaining = (int)Math.Ceiling(Math.Max(0, total - Done) / rate);
        }
        write(record);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!shown)
            return;
        shown = false;
        write(new ProgressRecord(Id, activity, $"{Done} {unit}") { RecordType = ProgressRecordType.Completed, PercentComplete = 100, ParentActivityId = ParentId });
    }
}
