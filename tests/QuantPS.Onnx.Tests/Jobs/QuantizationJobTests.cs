using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Jobs;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Tests.Jobs;

public sealed class QuantizationJobTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    private readonly TempFile source = new();
    private readonly TempFile folder = new("out/model.onnx");

    public QuantizationJobTests() => TestModels.Conv(3, 4, 3).Save(source.Path);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        source.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void WritesWhatCalibratingQuantizingAndExportingGive()
    {
        Tensor[] data = [.. Enumerable.Range(1, 3).Select(i => TestModels.Random(i, 2, 3, 8, 8))];
        QuantizationJob job = Job(() => data);
        QuantizationOutcome outcome = job.Run(Token);
        Assert.Equal(6, job.Batches);
        Assert.Equal(6, outcome.Samples);
        Assert.Equal(3 * 2 * 4 * 8 * 8, outcome.Error.Count);
        Assert.InRange(outcome.Error.SqnrDb, 20, 80);
        Assert.Equal(outcome.SizeBytes, new FileInfo(folder.Path).Length);
        Assert.Contains(OnnxModel.Load(folder.Path).Proto.Graph.Node, n => n.OpType == "QuantizeLinear");
        Assert.Single(Directory.GetFileSystemEntries(Path.GetDirectoryName(folder.Path)!));
    }

    [Fact]
    public void ReplacesAFileOnlyWhenToldTo()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder.Path)!);
        File.WriteAllText(folder.Path, "mine");
        Tensor[] data = [TestModels.Random(1, 1, 3, 8, 8)];
        Assert.Equal(ErrorIds.FileExists, Assert.Throws<QuantException>(() => Job(() => data).Run(Token)).ErrorId);
        Assert.Equal("mine", File.ReadAllText(folder.Path));
        new QuantizationJob(source.Path, folder.Path, QConfigPresets.Default, () => data.Select(t => new ModelSample(t)), overwrite: true).Run(Token);
        Assert.True(new FileInfo(folder.Path).Length > 100);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void CancelledInEitherPassItWritesNothing(int pass)
    {
        using CancellationTokenSource cancelling = CancellationTokenSource.CreateLinkedTokenSource(Token);
        int passes = 0;
        Assert.Throws<OperationCanceledException>(() => Job(Data).Run(cancelling.Token));
        Assert.Equal(pass, passes);
        Assert.False(Directory.Exists(Path.GetDirectoryName(folder.Path)));

        IEnumerable<Tensor> Data()
        {
            passes++;
            yield return TestModels.Random(1, 1, 3, 8, 8);
            if (passes == pass)
                cancelling.Cancel();
            yield return TestModels.Random(2, 1, 3, 8, 8);
        }
    }

    [Fact]
    public void WithoutDataNothingWasObserved() =>
        Assert.Equal(ErrorIds.NeverObserved, Assert.Throws<QuantException>(() => Job(() => []).Run(Token)).ErrorId);

    [Fact]
    public void AQueueTakesNoMoreThanItsLimitAndHandsOverFailures()
    {
        using JobQueue queue = new(1);
        QuantizationJob job = Job(() => throw new InvalidOperationException("no data"));
        queue.Start(job);
        Assert.True(queue.IsFull);
        Assert.Throws<InvalidOperationException>(() => queue.Start(Job(() => [])));
        Assert.True(queue.TryTake(Long, Token, out FinishedJob? finished));
        Assert.Same(job, finished.Job);
        Assert.Null(finished.Outcome);
        Assert.Equal("no data", finished.Error!.Message);
        Assert.False(queue.IsFull);
    }

    [Fact]
    public void DisposingAQueueEndsWhatRunsBeforeItWrites()
    {
        using ManualResetEventSlim reading = new();
        int seen = 0;
        using (JobQueue queue = new(2))
        {
            queue.Start(Job(Endless));
            Assert.True(reading.Wait(Long, Token));
        }
        int then = Volatile.Read(ref seen);
        Thread.Sleep(50);
        Assert.Equal(then, Volatile.Read(ref seen));
        Assert.False(File.Exists(folder.Path));

        IEnumerable<Tensor> Endless()
        {
            Tensor tensor = TestModels.Random(1, 1, 3, 8, 8);
            while (true)
            {
                Interlocked.Increment(ref seen);
                reading.Set();
                yield return tensor;
            }
        }
    }

    private QuantizationJob Job(Func<IEnumerable<Tensor>> data) => new(source.Path, folder.Path, QConfigPresets.Default, () => data().Select(t => new ModelSample(t)));
}
