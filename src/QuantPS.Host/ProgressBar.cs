using System.Diagnostics;
using System.Management.Automation;
using System.Text;

namespace QuantPS.Host;

/// <summary>
/// One line at the bottom of a terminal, rewritten in place: activity, bar, status, time left. Of nested activities the one
/// reported last is shown; when it completes, the one around it is.
/// </summary>
public sealed class ProgressBar(TextWriter writer, Func<int> width)
{
    private const int BarCells = 24;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly List<(long Source, ProgressRecord Record)> active = [];
    private long drawnAt;
    private int drawnLength;

    /// <summary>Takes a record; draws at most ten times a second, the end of an activity at once.</summary>
    public void Update(long source, ProgressRecord record)
    {
        active.RemoveAll(a => a.Source == source && a.Record.ActivityId == record.ActivityId);
        if (record.RecordType == ProgressRecordType.Completed)
        {
            Clear();
            return;
        }

        active.Add((source, record));
        if (drawnLength == 0 || Stopwatch.GetElapsedTime(drawnAt) >= Interval)
            Draw(record);
    }

    /// <summary>Wipes the line, so that something else can be written; the next record draws it again.</summary>
    public void Clear()
    {
        if (drawnLength == 0)
            return;
        writer.Write('\r' + new string(' ', drawnLength) + '\r');
        writer.Flush();
        drawnLength = 0;
    }

    /// <summary>Wipes the line and forgets all activities.</summary>
    public void Reset()
    {
        active.Clear();
        Clear();
    }

    /// <summary>The line for a record, cut to <paramref name="columns"/>.</summary>
    public static string Render(ProgressRecord record, int columns)
    {
        var line = new StringBuilder(record.Activity);
        if (record.PercentComplete >= 0)
        {
            int cells = Math.Min(BarCells, Math.Max(4, columns / 5));
            int full = (int)Math.Round(cells * Math.Min(record.PercentComplete, 100) / 100.0);
            line.Append("  ").Append('█', full).Append('░', cells - full);
        }

        foreach (string part in new[] { record.StatusDescription, record.CurrentOperation })
        {
            if (!string.IsNullOrWhiteSpace(part))
                line.Append("  ").Append(part);
        }

        if (record.SecondsRemaining > 0)
            line.Append("  ").Append(TimeLeft(record.SecondsRemaining)).Append(" left");
        line.Replace('\n', ' ').Replace('\r', ' ');
        return line.Length > columns ? line.ToString(0, Math.Max(0, columns - 1)) + '…' : line.ToString();
    }

    private static string TimeLeft(int seconds) =>
        seconds < 60 ? $"{seconds} s" : seconds < 3600 ? $"{seconds / 60}:{seconds % 60:00}" : $"{seconds / 3600}:{seconds / 60 % 60:00}:{seconds % 60:00}";

    private void Draw(ProgressRecord record)
    {
        // The last column stays free: writing there makes some terminals wrap.
        string line = Render(record, width() - 1);
        writer.Write('\r' + line + new string(' ', Math.Max(0, drawnLength - line.Length)));
        writer.Flush();
        drawnLength = line.Length;
        drawnAt = Stopwatch.GetTimestamp();
    }
}
