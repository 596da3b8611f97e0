using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace QuantPS.Onnx.Jobs;

/// <summary>How a job of a <see cref="JobQueue"/> ended.</summary>
/// <param name="Job">The job.</param>
/// <param name="Outcome">What it gave; null when it failed.</param>
/// <param name="Error">Why it failed.</param>
/// <param name="Elapsed">How long it took.</param>
public sealed record FinishedJob(QuantizationJob Job, QuantizationOutcome? Outcome, Exception? Error, TimeSpan Elapsed);

/// <summary>Runs jobs on threads of their own, at most so many at a time, and hands over each when it is finished.</summary>
/// <remarks>One thread starts and takes. Disposing cancels what runs and waits for it, so that nothing is written afterwards.</remarks>
public sealed class JobQueue(int limit) : IDisposable
{
    private readonly CancellationTokenSource cancelling = new();
    private readonly BlockingCollection<FinishedJob> finished = [];
    private readonly Dictionary<QuantizationJob, Task> running = [];

    /// <summary>Started and not yet taken.</summary>
    public IReadOnlyCollection<QuantizationJob> Running => running.Keys;

    /// <summary>One has to be taken before the next can start.</summary>
    public bool IsFull => running.Count >= limit;

    /// <summary>Starts a job.</summary>
    /// <exception cref="InvalidOperationException">The queue is full.</exception>
    public void Start(QuantizationJob job)
    {
        if (IsFull)
            throw new InvalidOperationException($"{limit} jobs are running.");
        running.Add(job, Task.Factory.StartNew(() => finished.Add(Run(job)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
    }

    /// <summary>Takes a finished job, waiting for one at most so long.</summary>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    public bool TryTake(TimeSpan wait, CancellationToken cancellation, [NotNullWhen(true)] out FinishedJob? job)
    {
        if (!finished.TryTake(out job, (int)wait.TotalMilliseconds, cancellation))
            return false;
        running.Remove(job.Job);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        cancelling.Cancel();
        Task.WaitAll([.. running.Values]);
        cancelling.Dispose();
        finished.Dispose();
    }

    private FinishedJob Run(QuantizationJob job)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            QuantizationOutcome outcome = job.Run(cancelling.Token);
            return new FinishedJob(job, outcome, null, Stopwatch.GetElapsedTime(start));
        }
        catch (Exception e)
        {
            // Whatever it is, it is about this model, and the taker's to tell.
            return new FinishedJob(job, null, e, Stopwatch.GetElapsedTime(start));
        }
    }
}
