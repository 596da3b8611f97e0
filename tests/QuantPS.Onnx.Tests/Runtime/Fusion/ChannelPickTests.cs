using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>Channel shuffles, made one step, against ONNX Runtime on the same file in this process. Steps of powers of two in the convolutions before them leave no
/// near-ties, so every bit has to be the same.</summary>
public class ChannelPickTests
{
    private const int Width = 6;

    /// <summary>Every form that exporters write, of channels that fill vectors and of fewer, either dtype, joined with and without other parameters. Sizes change between
    /// runs; those that come again are picks.</summary>
    [Theory]
    [InlineData("split")]
    [InlineData("slice")]
    [InlineData("gather")]
    [InlineData("list")]
    [InlineData("whole")]
    [InlineData("consumers")]
    [InlineData("cut")]
    [InlineData("three")]
    public void ShufflesArePicks(string form)
    {
        for (int i = 0; i < 8; i++)
        {
            using Case c = new(form, i % 2 == 0 ? 48 : 6, (i & 2) != 0, i < 4 ? DataType.Uint8 : DataType.Int8);
            // Rows that the constants of the form fix.
            int[] rows = form == "gather" ? [5, 5, 5] : [5, 3, 7];
            for (int run = 0; run < 9; run++)
            {
                c.Compare(TestModels.Random(run, 1 + run % 3, 4, rows[run % 3], Width));
                Assert.Equal(Math.Max(0, run - 2), c.Step.PickCount);
            }
        }
    }

    /// <summary>Rows and columns exchanged, rows and groups exchanged, images of another height: what looks like a shuffle and is none.</summary>
    [Theory]
    [InlineData("turned")]
    [InlineData("shifted")]
    [InlineData("flat")]
    public void OthersRunAsTheyAre(string form)
    {
        using Case c = new(form, 48, unlike: true, DataType.Uint8);
        for (int run = 0; run < 4; run++)
            c.Compare(TestModels.Random(run, 2, 4, Width, Width));
        Assert.Equal(0, c.Step.PickCount);
    }

    /// <summary>The same steps may be a pick for one image, and for two not: theirs are mixed.</summary>
    [Fact]
    public void WhatMixesImagesIsAPickOfOne()
    {
        using Case c = new("mixed", 48, unlike: true, DataType.Uint8);
        for (int run = 0; run < 8; run++)
            c.Compare(TestModels.Random(run, 1 + run % 2, 4, 5, Width));
        Assert.Equal(3, c.Step.PickCount);
    }

    /// <summary>What lies in planes is moved in rows.</summary>
    [Fact]
    public void PlanesStayPlanes()
    {
        using Case c = new("split", 48, unlike: true, DataType.Uint8, convolutions: false);
        for (int run = 0; run < 3; run++)
            c.Compare(TestModels.Random(run, 2, 24, 5, Width));
        Assert.Equal(0, c.Step.PickCount);
    }

    [Fact]
    public void RunsFromAnyThread()
    {
        using Case c = new("consumers", 48, unlike: true, DataType.Uint8);
        Tensor[] inputs = [.. Enumerable.Range(0, 40).Select(i => TestModels.Random(i, 1 + i % 3, 4, 3 + i % 4, Width))];
        Parallel.For(0, inputs.Length, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => c.Compare(inputs[i]));
        Assert.InRange(c.Step.PickCount, 1, inputs.Length);
    }

    /// <summary>All nodes are still named, in the order in which they were.</summary>
    [Fact]
    public void LayersAreNamed()
    {
        using Case c = new("split", 48, unlike: true, DataType.Uint8);
        PlanLayer[] layers = [.. c.Step.Layers];
        Assert.Equal(["Concat", "Reshape", "Transpose", "Reshape", "Split", "Split"], layers.Select(l => l.OpType));
        Assert.Equal(PlanLayer.Integers, layers[0].Kernel());
        Assert.All(layers[1..], l => Assert.Equal($"with {layers[0].Name}", l.Kernel()));
        Assert.Equal(string.Join(" + ", layers.Select(l => $"{l.OpType} {l.Name}")), c.Step.Description);
    }

    /// <summary>A network of our own: as a plan, in both forms of files, and with every value looked at.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("onnxruntime")]
    public void NetworksOfOurOwn(string preset)
    {
        OnnxModel model = TestModels.Graph(["N", 4, 5, Width],
            [
                Nodes.Create("Conv", "c1", ["x", "w1"], ["a"]),
                Nodes.Create("Conv", "c2", ["x", "w2"], ["b"]),
                .. Shuffle("split", 48, "j"),
                Nodes.Create("Conv", "c3", ["out0", "w3"], ["d"]),
                Nodes.Create("Add", "add", ["d", "out1"], ["y"]),
            ],
            [TestModels.Weight("w1", 1, 24, 4, 1, 1), TestModels.Weight("w2", 2, 24, 4, 1, 1), TestModels.Weight("w3", 3, 25, 23, 1, 1), .. Constants("split", 48)], ["y"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        calibrator.Observe(TestModels.Random(1, 4, 4, 5, Width));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        using Int8Plan plan = new(graph);
        ChannelPickStep step = Assert.Single(plan.Steps.OfType<ChannelPickStep>());
        HashSet<string> all = [.. graph.Nodes.Where(n => n.IsQuantized).SelectMany(n => n.Planned.Outputs)];
        foreach (OnnxModel file in new[] { QdqExporter.Export(graph).Model, QOperatorExporter.Export(graph).Model })
        {
            using ModelPlan ofFile = new(file);
            ChannelPickStep other = Assert.Single(ofFile.Steps.OfType<ChannelPickStep>());
            using OnnxRuntimeSession session = new(file);
            for (int run = 0; run < 4; run++)
            {
                Tensor x = TestModels.Random(10 + run, 2, 4, 5, Width);
                float[] expected = plan.Run(x, all).Outputs["y"].ToArray();
                Assert.Equal(expected, plan.Run(x).Outputs["y"].ToArray());
                float[] theirs = session.Run(x)["y"].ToArray(), ours = ((Tensor)ofFile.Run(x)["y"]).ToArray();
                Assert.InRange(theirs.Zip(ours).Count(v => v.First != v.Second), 0, theirs.Length / 200);
            }
            Assert.Equal(3, other.PickCount);
        }
        Assert.Equal(7, step.PickCount);
    }

    /// <summary>The float nodes of a form, from "a" and "b" on (and "c" for three); results are "out0" and so on.</summary>
    /// <param name="form">Its name.</param>
    /// <param name="channels">Of all images together.</param>
    /// <param name="joined">Name of the joined images.</param>
    private static List<NodeProto> Shuffle(string form, int channels, string joined)
    {
        List<NodeProto> nodes = [Nodes.Create("Concat", "join", form == "three" ? ["a", "b", "a"] : ["a", "b"], [joined], Nodes.Attribute("axis", 1L))];
        if (form == "cut")
            return [.. nodes, Nodes.Create("Split", "cut", [joined, "halves"], ["out0", "out1"], Nodes.Attribute("axis", 1L))];
        if (form == "flat")
            return [.. nodes, Nodes.Create("Reshape", "flatten", [joined, "flat"], ["out0"])];
        nodes.Add(Nodes.Create("Reshape", "groups", [joined, "grouped"], ["g"]));
        int[] order = form switch
        {
            "gather" or "mixed" => [1, 0, 2],
            "turned" => [0, 2, 1, 4, 3],
            "shifted" => [0, 3, 2, 1, 4],
            _ => [0, 2, 1, 3, 4],
        };
        string whole = form is "whole" or "turned" or "shifted" or "three" or "mixed" ? "out0" : "s";
        nodes.Add(Nodes.Create("Transpose", "swap", ["g"], ["t"], Nodes.Attribute("perm", order)));
        nodes.Add(Nodes.Create("Reshape", "back", ["t", "ungrouped"], [whole]));
        nodes.AddRange(form switch
        {
            "split" => [Nodes.Create("Split", "cut", ["s", "halves"], ["out0", "out1"], Nodes.Attribute("axis", 1L))],
            "slice" => [Nodes.Create("Slice", "low", ["s", "zero", "half", "one"], ["out0"]), Nodes.Create("Slice", "odd", ["s", "one", "end", "one", "two"], ["out1"])],
            "gather" => [Nodes.Create("Gather", "even", ["s", "index0"], ["out0"], Nodes.Attribute("axis", 0L)), Nodes.Create("Gather", "odd", ["s", "index1"], ["out1"], Nodes.Attribute("axis", 0L))],
            "list" => [Nodes.Create("Gather", "some", ["s", "several"], ["out0"], Nodes.Attribute("axis", 1L))],
            "consumers" => [Nodes.Create("Split", "cut", ["s", "halves"], ["out0", "out1"], Nodes.Attribute("axis", 1L)), Nodes.Create("Neg", "of all", ["s"], ["out2"]), Nodes.Create("Neg", "of joined", [joined], ["out3"])],
            _ => Array.Empty<NodeProto>(),
        });
        return nodes;
    }

    private static TensorProto[] Constants(string form, int channels)
    {
        int each = channels / 2;
        long[] grouped = form switch
        {
            "gather" => [-1, 2, 5 * Width],
            "mixed" => [2, -1, 5 * Width],
            "three" => [0, 3, each, -1, Width],
            _ => [0, 2, each, -1, Width],
        };
        long[] ungrouped = form switch
        {
            "gather" => [2, -1, each, 5, Width],
            "mixed" => [-1, channels, 5, Width],
            "three" => [0, 3 * each, -1, Width],
            _ => [0, channels, -1, Width],
        };
        return
        [
            TensorProtos.Create("grouped", grouped, [grouped.Length]), TensorProtos.Create("ungrouped", ungrouped, [ungrouped.Length]),
            TensorProtos.Create("flat", [0L, -1L, 2L, 3L], [4]),
            TensorProtos.Create("halves", [(long)each - 1, each + 1], [2]), TensorProtos.Create("half", [(long)each], [1]), TensorProtos.Create("end", [(long)channels], [1]),
            TensorProtos.Create("zero", [0L], [1]), TensorProtos.Create("one", [1L], [1]), TensorProtos.Create("two", [2L], [1]),
            TensorProtos.Create("index0", [0L], []), TensorProtos.Create("index1", [-1L], []),
            TensorProtos.Create("several", [.. Enumerable.Range(0, each + 3).Select(i => (long)(5 * i % channels))], [each + 3]),
        ];
    }

    /// <summary>A quantized file around a form: each value between a QuantizeLinear and its DequantizeLinear.</summary>
    private sealed class Case : IDisposable
    {
        private readonly ModelPlan plan;
        private readonly OnnxRuntimeSession session;

        public Case(string form, int channels, bool unlike, DataType type, bool convolutions = true)
        {
            int each = channels / 2;
            List<NodeProto> nodes = [];
            List<TensorProto> constants = [.. Constants(form, channels)];
            Dictionary<string, string> reals = new(StringComparer.Ordinal);
            Parameters("i", 1f / 32, 0);
            Parameters("p", 1f / 32, unlike ? 6 : -3);
            Parameters("q", unlike ? 0.043f : 1f / 32, unlike ? 9 : -3);
            Parameters("j", 1f / 32, -3);
            Quantized("x", "i");
            foreach ((string name, string meaning, int seed) in new[] { ("a", "p", 1), ("b", "q", 2) })
            {
                if (convolutions)
                {
                    constants.Add(OneNode.Integers(DataType.Int8, [each, 4, 1, 1], [.. Enumerable.Range(0, each * 4).Select(k => (k * 37 + seed * 11) % 41 - 20)]).Typed!.ToProto($"{name} integers"));
                    constants.Add(TensorProtos.Create($"{name} scale", [1f / 16], []));
                    nodes.Add(Nodes.Create("DequantizeLinear", $"{name} weights", [$"{name} integers", $"{name} scale"], [$"{name} weight"]));
                    nodes.Add(Nodes.Create("Conv", name, [reals["x"], $"{name} weight"], [name]));
                }
                else
                    nodes.Add(Nodes.Create("Identity", name, [reals["x"]], [name]));
                Quantized(name, meaning);
            }
            foreach (NodeProto node in Shuffle(form, channels, "joined"))
            {
                bool isMove = node.OpType != "Neg";
                for (int k = 0; k < node.Input.Count; k++)
                    node.Input[k] = reals.GetValueOrDefault(node.Input[k], node.Input[k]);
                nodes.Add(node);
                foreach (string output in isMove ? node.Output : [])
                    Quantized(output, "j");
            }
            string[] outputs = [.. Enumerable.Range(0, 4).Select(k => $"out{k}").Where(o => nodes.Any(n => n.Output.Contains(o)))];
            GraphProto graph = new() { Name = "shuffle" };
            graph.Node.AddRange(nodes);
            graph.Initializer.AddRange(constants);
            graph.Input.Add(Nodes.Value("x", DataType.Float, "N", convolutions ? 4 : each, "H", Width));
            graph.Output.AddRange(outputs.Select(o => new ValueInfoProto { Name = reals.GetValueOrDefault(o, o), Type = new() { TensorType = new() { ElemType = (int)DataType.Float } } }));
            ModelProto proto = new() { IrVersion = 8, Graph = graph };
            proto.OpsetImport.Add(new OperatorSetIdProto { Version = 17 });
            OnnxModel model = OnnxModel.FromProto(proto, "shuffle");
            plan = new ModelPlan(model);
            Step = Assert.Single(plan.Steps.OfType<ChannelPickStep>());
            session = new OnnxRuntimeSession(model, settings: new SessionSettings { IntraOpThreads = 1 });

            void Parameters(string name, float scale, int zero) => constants.AddRange([TensorProtos.Create(name + "s", [scale], []),
                OneNode.Integers(type, [], zero + (type == DataType.Uint8 ? 128 : 0)).Typed!.ToProto(name + "z")]);

            void Quantized(string value, string meaning)
            {
                nodes.Add(Nodes.Create("QuantizeLinear", $"quantize {value}", [value, meaning + "s", meaning + "z"], [$"{value} quantized"]));
                nodes.Add(Nodes.Create("DequantizeLinear", $"dequantize {value}", [$"{value} quantized", meaning + "s", meaning + "z"], [$"{value} real"]));
                reals[value] = $"{value} real";
            }
        }

        /// <summary>The shuffle.</summary>
        public ChannelPickStep Step { get; }

        /// <summary>Fails unless all results are ONNX Runtime's.</summary>
        public void Compare(Tensor x)
        {
            IReadOnlyDictionary<string, Tensor> theirs = session.Run(x);
            IReadOnlyDictionary<string, object> ours = plan.Run(x);
            Assert.Equal(theirs.Count, ours.Count);
            foreach ((string name, Tensor expected) in theirs)
            {
                Tensor actual = (Tensor)ours[name];
                Assert.Equal(expected.Shape, actual.Shape);
                Assert.True(expected.ToArray().Distinct().Count() > 20);
                Assert.Equal(expected.ToArray(), actual.ToArray());
            }
        }

        public void Dispose()
        {
            plan.Dispose();
            session.Dispose();
        }
    }
}
