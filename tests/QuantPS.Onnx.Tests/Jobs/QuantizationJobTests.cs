using System.Diagnostics;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Jobs;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

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

    /// <summary>One batch that takes long: cancelling does not wait for its end, and nothing is written.</summary>
    [Fact]
    public void CancelledWithinABatch()
    {
        const int Layers = 200;
        TestModels.Graph(["N", 256], Enumerable.Range(0, Layers).Select(i => Nodes.Create("MatMul", $"m{i}", [i == 0 ? "x" : $"v{i - 1}", "w"], [i == Layers - 1 ? "y" : $"v{i}"])),
            [TensorProtos.Create("w", new Tensor(256, 256))], ["y"]).Save(source.Path, overwrite: true);
        Tensor[] one = [TestModels.Random(1, 8192, 256)];
        OnnxModel model = OnnxModel.Load(source.Path);
        using (CancellationTokenSource cancelling = new())
        {
            using OnnxRuntimeSession free = new(model), stopped = new(model, settings: new() { Cancellation = cancelling.Token });
            long start = Stopwatch.GetTimestamp();
            free.Run(one[0]);
            TimeSpan whole = Stopwatch.GetElapsedTime(start);
            start = Stopwatch.GetTimestamp();
            cancelling.CancelAfter(whole / 8);
            Assert.Throws<OperationCanceledException>(() => stopped.Run(one[0]));
            Assert.InRange(Stopwatch.GetElapsedTime(start), whole / 16, whole / 2);
        }
        using (CancellationTokenSource cancelling = CancellationTokenSource.CreateLinkedTokenSource(Token))
        {
            int passes = 0;
            Assert.Throws<OperationCanceledException>(() => Job(Data).Run(cancelling.Token));
            Assert.Equal(1, passes);
            Assert.False(Directory.Exists(Path.GetDirectoryName(folder.Path)));

            IEnumerable<Tensor> Data()
            {
                passes++;
                cancelling.CancelAfter(100);
                yield return one[0];
                Assert.Fail("The batch was not stopped.");
            }
        }
    }

    /// <summary>Our own steps stop as well.</summary>
    [Fact]
    public void ACancelledPlanRunsNothing()
    {
        OnnxModel model = OnnxModel.Load(source.Path);
        using Calibrator calibrator = new(model, QConfigPresets.Default);
        calibrator.Observe(TestModels.Random(1, 1, 3, 8, 8));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        using CancellationTokenSource cancelling = new();
        using Int8Plan plan = new(graph, new() { Cancellation = cancelling.Token });
        using ModelPlan file = new(QOperatorExporter.Export(graph).Model, new() { Cancellation = cancelling.Token });
        plan.Run(TestModels.Random(1, 1, 3, 8, 8));
        file.Run(TestModels.Random(1, 1, 3, 8, 8));
        cancelling.Cancel();
        Assert.Throws<OperationCanceledException>(() => plan.Run(TestModels.Random(1, 1, 3, 8, 8)));
        Assert.Throws<OperationCanceledException>(() => file.Run(TestModels.Random(1, 1, 3, 8, 8)));
    }

    [Fact]
    public void OptionsAndFormAreTheFiles()
    {
        Tensor[] data = [TestModels.Random(1, 2, 3, 8, 8)];
        QuantizeOptions options = new() { PerChannel = false, ActivationType = QDType.QInt8 };
        new QuantizationJob(source.Path, folder.Path, QConfigPresets.Default, () => data.Select(t => new ModelSample(t)), options: options, export: QOperatorExporter.Export).Run(Token);
        using Calibrator calibrator = new(OnnxModel.Load(source.Path), QConfigPresets.Default);
        calibrator.Observe(data[0]);
        Assert.Equal(QOperatorExporter.Export(ModelQuantizer.Quantize(calibrator.Finish(), options: options)).Model.ToBytes(), File.ReadAllBytes(folder.Path));
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
