using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Execution.Native;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Execution;

/// <summary>What is shown in the middle of a run is what the same values are as outputs.</summary>
public class ObservedGraphTests
{
    /// <summary>A size that gives every value a node of its own.</summary>
    private const long Alone = long.MaxValue / 2;

    /// <summary>Graphs, the values to look at, and the shapes of the inputs to run with.</summary>
    public static TheoryData<string> Graphs => ["resnet8", "mobile", "blocked", "several outputs", "branches", "empty", "optional", "half", "constant", "input"];

    private static (OnnxModel Model, string[] Values, int[][] Shapes) Case(string name)
    {
        int[][] images = [[1, 1, 28, 28], [5, 1, 28, 28], [2, 1, 28, 28]];
        switch (name)
        {
            case "resnet8" or "mobile":
                OnnxModel network = TestData.Network($"fmnist-{name}");
                ValueTypes types = ValueTypes.Infer(network);
                return (network, [.. network.Graph.Nodes.SelectMany(n => n.Output).Where(v => types.IsFloat(v) && network.Graph.Constant(v) is null)], images);
            case "blocked":
                // Channels that fill blocks, that do not, and a sum of two convolutions.
                return (TestModels.Graph(["n", 16, 9, 7],
                    [Nodes.Create("Conv", "a", ["x", "w"], ["a"], Nodes.Attribute("pads", new[] { 1, 1, 1, 1 })), Nodes.Create("Relu", "r", ["a"], ["r"]), Nodes.Create("Conv", "b", ["r", "v"], ["b"]),
                        Nodes.Create("Conv", "c", ["r", "w"], ["c"], Nodes.Attribute("pads", new[] { 1, 1, 1, 1 })), Nodes.Create("Add", "d", ["c", "r"], ["d"])],
                    [TestModels.Weight("w", 3, 16, 16, 3, 3), TestModels.Weight("v", 4, 12, 16, 1, 1)], ["d", "b"]), ["r", "b", "c", "d"], [[3, 16, 9, 7], [1, 16, 9, 7]]);
            case "several outputs":
                return (TestModels.Graph(["n", 6], [Nodes.Create("Split", "s", ["x"], ["a", "b"], Nodes.Attribute("axis", 1L), Nodes.Attribute("num_outputs", 2L)), Nodes.Create("Tanh", "t", ["b"], ["c"])],
                    [], ["c"], opset: 18), ["a", "b", "c"], [[4, 6], [1, 6]]);
            case "branches":
                // Both bodies use a value from outside that is looked at.
                return (TestModels.Graph(["n"], [Nodes.Create("Exp", "e", ["x"], ["a"]), Nodes.Create("ReduceMax", "m", ["x"], ["top"], Nodes.Attribute("keepdims", 0L)),
                    Nodes.Create("Greater", "g", ["top", "zero"], ["condition"]), Nodes.Create("If", "i", ["condition"], ["b"], Body("then_branch", "Sin"), Body("else_branch", "Cos"))],
                    [TensorProtos.Create("zero", new Tensor(Array.Empty<int>(), new[] { 1.2f }))], ["b"]), ["a", "b"], [[50], [3]]);
            case "empty":
                return (TestModels.Graph(["n", 3], [Nodes.Create("Relu", "r", ["x"], ["a"]), Nodes.Create("Neg", "n", ["a"], ["b"])], [], ["b"]), ["a", "b"], [[0, 3], [2, 3]]);
            case "optional":
                return (TestModels.Graph([1, 1, 6, 6], [Nodes.Create("MaxPool", "p", ["x"], ["a", ""], Nodes.Attribute("kernel_shape", new[] { 2, 2 })), Nodes.Create("Clip", "k", ["a", "", "top"], ["b"])],
                    [TensorProtos.Create("top", new Tensor(Array.Empty<int>(), new[] { 0.5f }))], ["b"]), ["a", "b"], [[1, 1, 6, 6]]);
            case "half":
                return (TestModels.Graph(["n"], [Nodes.Create("Cast", "c", ["x"], ["h"], Nodes.Attribute("to", (long)DataType.Float16)), Nodes.Create("Neg", "g", ["h"], ["m"]),
                    Nodes.Create("Cast", "d", ["m"], ["a"], Nodes.Attribute("to", (long)DataType.Float))], [], ["a"]), ["a"], [[33]]);
            case "constant":
                // ONNX Runtime works it out once and for all.
                return (TestModels.Graph(["n", 4], [Nodes.Create("Neg", "g", ["w"], ["m"]), Nodes.Create("Add", "a", ["x", "m"], ["b"])], [TestModels.Weight("w", 3, 4)], ["b"]), ["m", "b"], [[2, 4]]);
            default:
                return (TestModels.Graph(["n", 4], [Nodes.Create("Neg", "g", ["x"], ["m"])], [], ["m"]), ["x", "m"], [[2, 4], [1, 4]]);
        }
    }

    [Theory, MemberData(nameof(Graphs))]
    public void ShowsWhatOutputsWouldBe(string name)
    {
        (OnnxModel model, string[] values, int[][] shapes) = Case(name);
        foreach ((bool anyOrder, long size) in new[] { (false, Alone), (true, Alone), (false, 1), (true, 1) })
        {
            foreach (SessionSettings settings in new SessionSettings[] { new(), new() { IntraOpThreads = 2 }, new() { MostSerialized = 0 }, new() { Optimize = false } })
            {
                using OnnxRuntimeSession outputs = new(model, values.Where(v => model.Graph.Producer(v) is not null), settings);
                Dictionary<string, Tensor> seen = new(StringComparer.Ordinal);
                using Watched watched = new(model, values, _ => anyOrder, settings, (i, data, shape, _) =>
                {
                    Tensor copy = new(shape.ToArray(), data.ToArray());
                    lock (seen)
                        seen.Add(values[i], copy);
                }, 2, size);
                foreach (int[] shape in shapes)
                {
                    seen.Clear();
                    Tensor x = TestModels.Random(7, shape);
                    watched.Run(x);
                    IReadOnlyDictionary<string, Tensor> expected = outputs.Run(x);
                    Assert.Equal(values.Order(StringComparer.Ordinal), seen.Keys.Order(StringComparer.Ordinal));
                    for (int i = 0; i < values.Length; i++)
                    {
                        Tensor e = model.Graph.Producer(values[i]) is null ? x : expected[values[i]], s = seen[values[i]];
                        Assert.True(anyOrder || watched.Blocks[i] == 1);
                        Assert.Equal(e.Shape, s.Shape);
                        Assert.Equal(InBlocks(e, watched.Blocks[i]), s.ToArray());
                    }
                }
            }
        }
    }

    [Fact]
    public void BlocksComeAsTheyAre()
    {
        (OnnxModel model, string[] values, _) = Case("blocked");
        (OnnxModel observed, _, int[] blocks) = ObservedGraph.Create(model, values, _ => true, _ => Alone, new SessionSettings());
        if (!observed.Proto.Graph.Node.Any(n => n.Domain == "com.microsoft.nchwc"))
            Assert.Skip("ONNX Runtime has no blocked convolutions on this CPU.");
        // Of the values only those that are outputs of the model, or whose blocks are not full, are put back in order.
        Assert.Equal(["b", "d"], observed.Proto.Graph.Node.Where(n => n.OpType == "ReorderOutput").Select(n => n.Output[0]).Order());
        Assert.DoesNotContain(observed.Graph.Outputs, o => o.Name is "r" or "c");
        Assert.Equal([ChannelBlocks.Size, 1, ChannelBlocks.Size, ChannelBlocks.Size], blocks);
    }

    [Fact]
    public void AnExceptionOfTheWatcherEndsTheRunAndNothingElse()
    {
        (OnnxModel model, string[] values, int[][] shapes) = Case("resnet8");
        bool fail = true;
        int seen = 0;
        using Watched watched = new(model, values, _ => true, new SessionSettings(), (i, _, _, _) => seen = fail && i == 3 ? throw new InvalidTimeZoneException("mine") : seen + 1);
        Tensor x = TestModels.Random(7, shapes[0]);
        Assert.Equal(ErrorIds.InferenceFailed, Assert.Throws<QuantException>(() => watched.Run(x)).ErrorId);
        Assert.IsType<InvalidTimeZoneException>(watched.Operator.Failure);
        Assert.True(seen < values.Length);
        (fail, seen) = (false, 0);
        watched.Operator.ForgetFailure();
        watched.Run(x);
        Assert.Equal(values.Length, seen);
        Assert.Null(watched.Operator.Failure);
    }

    [Fact]
    public void ARunIsCancelledInItsMiddle()
    {
        (OnnxModel model, string[] values, int[][] shapes) = Case("resnet8");
        using CancellationTokenSource stop = new();
        int seen = 0;
        using Watched watched = new(model, values, _ => true, new SessionSettings { Cancellation = stop.Token }, (_, _, _, _) =>
        {
            if (++seen == 2)
                stop.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => watched.Run(TestModels.Random(7, shapes[0])));
        Assert.InRange(seen, 2, values.Length - 1);
    }

    [Theory, InlineData(1), InlineData(2)]
    public void TheSessionsThreadsShareTheWork(int threads)
    {
        (OnnxModel model, string[] values, int[][] shapes) = Case("resnet8");
        bool fail = false;
        int done = 0;
        using Watched watched = new(model, values, _ => true, new SessionSettings { IntraOpThreads = threads }, (_, _, _, pool) =>
        {
            Assert.Equal(threads, pool!.Threads);
            pool.Run(7, part => _ = fail && part == 4 ? throw new InvalidTimeZoneException("mine") : Interlocked.Add(ref done, 1 << (4 * part)));
        }, threads);
        watched.Run(TestModels.Random(7, shapes[0]));
        // Each part once for each value.
        Assert.Equal(Enumerable.Range(0, 7).Sum(p => values.Length << (4 * p)), done);
        fail = true;
        Assert.Throws<QuantException>(() => watched.Run(TestModels.Random(7, shapes[0])));
        Assert.IsType<InvalidTimeZoneException>(watched.Operator.Failure);
    }

    /// <summary>[N, C, H, W] as [N, C / block, H, W, block].</summary>
    private static float[] InBlocks(Tensor t, int block)
    {
        if (block == 1)
            return t.ToArray();
        (int n, int channels, int pixels) = (t.Shape[0], t.Shape[1], t.Shape[2] * t.Shape[3]);
        return [.. from i in Enumerable.Range(0, n) from b in Enumerable.Range(0, channels / block) from p in Enumerable.Range(0, pixels) from c in Enumerable.Range(0, block)
            select t.Span[((i * channels) + (b * block) + c) * pixels + p]];
    }

    private static AttributeProto Body(string name, string opType)
    {
        GraphProto body = new() { Name = name };
        body.Node.Add(Nodes.Create(opType, name + opType, ["a"], [name + "_out"]));
        body.Output.Add(new ValueInfoProto { Name = name + "_out", Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)DataType.Float } } });
        return new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Graph, G = body };
    }

    private sealed class Watched : IDisposable
    {
        private readonly OnnxRuntimeSession session;
        private readonly string[] outputs;

        public Watched(OnnxModel model, string[] values, Func<string, bool> anyOrder, SessionSettings settings, ValueWatcher watcher, int threads = 1, long size = Alone)
        {
            Operator = new ObserveOperator(watcher, threads);
            (OnnxModel observed, settings, Blocks) = ObservedGraph.Create(model, values, anyOrder, _ => size, settings);
            session = new OnnxRuntimeSession(observed, settings: settings with { Observe = Operator });
            outputs = [observed.Graph.Outputs[0].Name];
        }

        public ObserveOperator Operator { get; }

        public int[] Blocks { get; }

        public void Run(Tensor x) => session.RunChecked(session.Inputs.Named(x), outputs, _ => { });

        public void Dispose()
        {
            session.Dispose();
            Operator.Dispose();
        }
    }
}
