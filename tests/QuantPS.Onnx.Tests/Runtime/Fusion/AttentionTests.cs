using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using QuantPS.Onnx.Runtime.Fusion;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>The operators of attention between DequantizeLinear and QuantizeLinear, and as operators on integers, against ONNX Runtime on the same file in this
/// process: random shapes that change from run to run, all pairs of types, any zero points. What differs has to be a tie, and ties are counted.</summary>
public sealed class AttentionTests(ITestOutputHelper output)
{
    private const string Microsoft = "com.microsoft";

    /// <summary>QLinearMatMul of two activations.</summary>
    [Fact]
    public void ProductsOfActivations()
    {
        int different = 0, all = 0;
        for (int i = 0; i < 24; i++)
        {
            Random random = new(i);
            bool pairs = i % 3 != 0;
            // On integers ONNX Runtime has kernels for results of the left operand's type, and for int8 on the left with int8 on the right only.
            (DataType a, DataType b, DataType y) = (Eight(i), Eight(pairs ? i / 2 : i | i / 2), Eight(pairs ? i / 4 : i));
            int rankA = 2 + i % 3, rankB = 2 + i / 3 % 3;
            List<TensorProto> constants = [.. Parameters(random, "a", a, 0.01f), .. Parameters(random, "b", b, 0.02f), .. Parameters(random, "y", y, 0.03f)];
            using Case c = new(pairs
                ? [Pair("DequantizeLinear", "in0", "a", "ra"), Pair("DequantizeLinear", "in1", "b", "rb"), Nodes.Create("MatMul", "product", ["ra", "rb"], ["r"]), Pair("QuantizeLinear", "r", "y", "out")]
                : [Nodes.Create("QLinearMatMul", "product", ["in0", "as", "az", "in1", "bs", "bz", "ys", "yz"], ["out"])],
                [(a, rankA), (b, rankB)], y, constants);
            for (int run = 0; run < 4; run++)
            {
                int depth = random.Next(1, 80);
                int[] batch = [.. Enumerable.Range(0, 2).Select(_ => random.Next(1, 4))], left = [.. batch[^(rankA - 2)..], random.Next(1, 50), depth], right = [.. batch[^(rankB - 2)..], depth, random.Next(1, 150)];
                if (rankA > 2 && random.Next(3) == 0)
                    left[0] = 1;
                if (run == 3)
                    left[^2] = 0;
                (int d, int n) = c.Compare(1, Integers(random, a, left), Integers(random, b, right, 64));
                different += d;
                all += n;
            }
        }
        output.WriteLine($"{different} of {all}");
        // ONNX Runtime leaves pairs of types that it has no kernel for in float32.
        Assert.InRange(different, 0, all / 5000);
    }

    /// <summary>A constant of three dimensions is an operand like any other.</summary>
    [Fact]
    public void ProductWithAConstantStack()
    {
        Random random = new(5);
        GraphValue stack = Integers(random, DataType.Int8, [3, 20, 30]);
        using Case c = new(
            [Pair("DequantizeLinear", "in0", "a", "ra"), Pair("DequantizeLinear", "stack", "b", "rb"), Nodes.Create("MatMul", "product", ["ra", "rb"], ["r"]), Pair("QuantizeLinear", "r", "y", "out")],
            [(DataType.Uint8, 3)], DataType.Uint8,
            [.. Parameters(random, "a", DataType.Uint8, 0.01f), .. Parameters(random, "b", DataType.Int8, 0.02f), .. Parameters(random, "y", DataType.Uint8, 0.03f), stack.Typed!.ToProto("stack")]);
        (int different, int all) = c.Compare(1, Integers(random, DataType.Uint8, [1, 7, 20]));
        Assert.InRange(different, 0, all / 200);
    }

    /// <summary>QLinearSoftmax, which pairs of one type become in ONNX Runtime, and the float formula for pairs of two.</summary>
    [Fact]
    public void Softmax()
    {
        int different = 0, all = 0;
        for (int i = 0; i < 32; i++)
        {
            Random random = new(100 + i);
            DataType x = Eight(i), y = Eight(i / 2);
            bool pairs = i % 4 != 0 || x != y;
            int rank = 1 + i % 4, axis = random.Next(-rank, rank), opset = i % 5 == 0 ? 11 : 17;
            // Scales as tools have them, and an odd one, of which QLinearSoftmax takes the whole steps.
            float scale = i % 3 == 0 ? 1f / 256 : i % 3 == 1 ? 1f / 255 : 0.0043f;
            TensorProto zero = OneNode.Integers(y, [], y == DataType.Int8 ? -128 : 0).Typed!.ToProto("yz");
            List<TensorProto> constants = [.. Parameters(random, "x", x, 0.04f), TensorProtos.Create("ys", [scale], []), zero];
            using Case c = new(pairs
                ? [Pair("DequantizeLinear", "in0", "x", "rx"), Nodes.Create("Softmax", "softmax", ["rx"], ["r"], Nodes.Attribute("axis", (long)axis)), Pair("QuantizeLinear", "r", "y", "out")]
                : [new NodeProto(Nodes.Create("QLinearSoftmax", "softmax", ["in0", "xs", "xz", "ys", "yz"], ["out"], Nodes.Attribute("axis", (long)axis), Nodes.Attribute("opset", (long)opset))) { Domain = Microsoft }],
                [(x, rank)], y, constants, opset);
            for (int run = 0; run < 4; run++)
            {
                int[] shape = [.. Enumerable.Range(0, rank).Select(_ => random.Next(2, run == 2 && rank < 3 ? 300 : 12))];
                (int d, int n) = c.Compare(1, Integers(random, x, shape));
                different += d;
                all += n;
            }
        }
        output.WriteLine($"{different} of {all}");
        Assert.InRange(different, 0, all / 5000);
    }

    /// <summary>A probability of 1 is one step more than there are from the zero point on: the largest integer, also with qint8.</summary>
    [Fact]
    public void CertaintySaturates()
    {
        using Case c = new([Pair("DequantizeLinear", "in0", "x", "rx"), Nodes.Create("Softmax", "softmax", ["rx"], ["r"]), Pair("QuantizeLinear", "r", "y", "out")], [(DataType.Int8, 2)], DataType.Int8,
            [.. Parameters(new Random(1), "x", DataType.Int8, 0.2f), TensorProtos.Create("ys", [1f / 256], []), OneNode.Integers(DataType.Int8, [], -128).Typed!.ToProto("yz")]);
        GraphValue x = OneNode.Integers(DataType.Int8, [1, 4], -128, 127, -128, -128);
        Assert.Equal([-128, 127, -128, -128], c.Theirs(x).ToInts());
        Assert.Equal([-128, 127, -128, -128], c.Run(x).ToInts());
    }

    /// <summary>Layer normalization with a factor and an offset, quantized or float, over one dimension or two.</summary>
    [Fact]
    public void LayerNormalization()
    {
        int different = 0, all = 0;
        for (int i = 0; i < 24; i++)
        {
            Random random = new(200 + i);
            DataType x = Eight(i), y = Eight(i / 2);
            int width = random.Next(3, 300), axis = i % 3 == 0 ? -2 : -1;
            bool bias = i % 5 != 0, quantized = i % 2 == 0;
            int[] normalized = axis == -2 ? [4, width] : [width];
            int count = TensorShape.Count(normalized);
            List<TensorProto> constants = [.. Parameters(random, "x", x, 0.05f), .. Parameters(random, "y", y, 0.02f)];
            List<NodeProto> nodes = [Pair("DequantizeLinear", "in0", "x", "rx")];
            if (quantized)
            {
                constants.AddRange([Integers(random, DataType.Int8, normalized).Typed!.ToProto("g"), TensorProtos.Create("gs", [0.01f], []), OneNode.Integers(DataType.Int8, [], 3).Typed!.ToProto("gz"),
                    OneNode.Integers(DataType.Int32, normalized, [.. Enumerable.Range(0, count).Select(_ => random.Next(-3000, 3000))]).Typed!.ToProto("b"), TensorProtos.Create("bs", [0.0005f], [])]);
                nodes.AddRange([Pair("DequantizeLinear", "g", "g", "gain"), Nodes.Create("DequantizeLinear", "db", ["b", "bs"], ["bias"])]);
            }
            else
                constants.AddRange([TestModels.Weight("gain", i, normalized), TestModels.Weight("bias", i + 1, normalized)]);
            nodes.AddRange([Nodes.Create("LayerNormalization", "norm", bias ? ["rx", "gain", "bias"] : ["rx", "gain"], ["r"], Nodes.Attribute("axis", (long)axis), Nodes.Attribute("epsilon", 1e-5f)),
                Pair("QuantizeLinear", "r", "y", "out")]);
            using Case c = new(nodes, [(x, 3)], y, constants);
            for (int run = 0; run < 3; run++)
            {
                (int d, int n) = c.Compare(1, Integers(random, x, [run == 2 ? 0 : random.Next(1, 4), axis == -2 ? 4 : random.Next(1, 40), width]));
                different += d;
                all += n;
            }
        }
        output.WriteLine($"{different} of {all}");
        // ONNX Runtime adds up squares in float32.
        Assert.InRange(different, 0, all / 1000);
    }

    /// <summary>Functions of one variable, whose int8 form is a table: all 256 inputs.</summary>
    [Theory]
    [InlineData("Erf")]
    [InlineData("Gelu")]
    [InlineData("Gelu", "tanh")]
    [InlineData("Exp")]
    [InlineData("Abs")]
    [InlineData("Neg")]
    [InlineData("Elu")]
    [InlineData("Softplus")]
    [InlineData("Selu")]
    [InlineData("Celu")]
    [InlineData("ThresholdedRelu")]
    [InlineData("Softsign")]
    [InlineData("Mish")]
    [InlineData("Sign")]
    [InlineData("Floor")]
    [InlineData("Ceil")]
    [InlineData("Round")]
    [InlineData("Sin")]
    [InlineData("Cos")]
    [InlineData("Div")]
    [InlineData("Sub")]
    [InlineData("Pow")]
    public void FunctionsAreTables(string opType, string? approximate = null)
    {
        bool pair = opType is "Div" or "Sub" or "Pow";
        NodeProto node = Nodes.Create(opType, "function", pair ? ["r", "by"] : ["r"], ["f"], approximate is null ? [] : [Nodes.Attribute("approximate", approximate)]);
        using Case c = new([Pair("DequantizeLinear", "in0", "x", "r"), node, Pair("QuantizeLinear", "f", "y", "out")], [(DataType.Uint8, 1)], DataType.Uint8,
            [.. Parameters(new Random(3), "x", DataType.Uint8, 0.02f), .. Parameters(new Random(4), "y", DataType.Uint8, 0.02f), TensorProtos.Create("by", [opType == "Pow" ? 2f : 1.7f], [])], opset: 20);
        (int different, _) = c.Compare(1, OneNode.Integers(DataType.Uint8, [256], [.. Enumerable.Range(0, 256)]));
        Assert.InRange(different, 0, 1);
    }

    /// <summary>Functions one behind the other are one table, also those that models are not quantized for: a binary network's sign of a sign, a decomposed Softplus.</summary>
    [Theory]
    [InlineData("Sign Add Sign")]
    [InlineData("Exp Add Log")]
    [InlineData("Abs Sqrt Neg")]
    public void FunctionsInARowAreOneTable(string opTypes)
    {
        string[] row = opTypes.Split(' ');
        NodeProto[] nodes = [.. row.Select((op, i) => Nodes.Create(op, $"n{i}", op == "Add" ? [$"f{i}", "by"] : [$"f{i}"], [$"f{i + 1}"]))];
        using Case c = new([Pair("DequantizeLinear", "in0", "x", "f0"), .. nodes, Pair("QuantizeLinear", $"f{row.Length}", "y", "out")], [(DataType.Uint8, 2)], DataType.Uint8,
            [.. Parameters(new Random(3), "x", DataType.Uint8, 0.02f), .. Parameters(new Random(4), "y", DataType.Uint8, 0.02f), TensorProtos.Create("by", [row[0] == "Sign" ? 0.1f : 1f], [])], opset: 13);
        (int different, _) = c.Compare(1, OneNode.Integers(DataType.Uint8, [2, 128], [.. Enumerable.Range(0, 256)]));
        Assert.InRange(different, 0, 1);
    }

    /// <summary>Pieces and slices are copies, with dimensions that change from run to run.</summary>
    [Fact]
    public void PiecesAreCopies()
    {
        Random random = new(8);
        TensorProto[] constants = [.. Parameters(random, "x", DataType.Int8, 0.02f), TensorProtos.Create("sizes", [2L, 1, 4], [3]), TensorProtos.Create("second", [1L], []), TensorProtos.Create("some", [2L, -1, 0], [3])];
        foreach ((NodeProto node, int axis) in ((NodeProto, int)[])[(Nodes.Create("Split", "split", ["r", "sizes"], ["f0", "f1", "f2"], Nodes.Attribute("axis", 1L)), 1),
            (Nodes.Create("Split", "split", ["r"], ["f0", "f1", "f2"], Nodes.Attribute("axis", -1L), Nodes.Attribute("num_outputs", 3L)), 2),
            (Nodes.Create("Gather", "gather", ["r", "second"], ["f0"], Nodes.Attribute("axis", 0L)), 0), (Nodes.Create("Gather", "gather", ["r", "some"], ["f0"], Nodes.Attribute("axis", 1L)), 1)])
        {
            string[] outputs = [.. node.Output.Select((_, i) => $"out{i}")];
            GraphProto graph = new() { Name = "pieces" };
            graph.Node.AddRange([Pair("DequantizeLinear", "in0", "x", "r"), node, .. node.Output.Select((f, i) => Pair("QuantizeLinear", f, "x", outputs[i]))]);
            graph.Initializer.AddRange(constants);
            graph.Input.Add(Nodes.Value("in0", DataType.Int8, "a", "b", "c"));
            graph.Output.AddRange(outputs.Select(o => new ValueInfoProto { Name = o, Type = new() { TensorType = new() { ElemType = (int)DataType.Int8 } } }));
            ModelProto proto = new() { IrVersion = 8, Graph = graph };
            proto.OpsetImport.Add(new OperatorSetIdProto { Version = 18 });
            OnnxModel model = OnnxModel.FromProto(proto, "pieces");
            using ModelPlan plan = new(model);
            Assert.All(plan.Steps, s => Assert.IsType<UnitStep>(s));
            Assert.Equal(outputs.Length, plan.Steps.Count());
            using OnnxRuntimeSession session = new(model);
            foreach (int[] shape in (int[][])[[2, 7, 5], [3, 7, 9], [2, 7, 1]])
            {
                if (axis == 2 && shape[2] < 3)
                    continue;
                GraphValue x = Integers(random, DataType.Int8, shape);
                List<OrtValue> owned = [];
                using IDisposableReadOnlyCollection<OrtValue> theirs = session.RunValues(["in0"], [x.ToOrt(owned)], outputs);
                int[][] expected = [.. theirs.Select(t => IntegerTensor.FromOrt(t).ToInts())], shapes = [.. theirs.Select(OnnxRuntimeSession.ShapeOf)];
                plan.RunValues(new Dictionary<string, GraphValue> { ["in0"] = x }, values =>
                {
                    for (int i = 0; i < outputs.Length; i++)
                    {
                        Assert.Equal(shapes[i], values(outputs[i]).Typed!.Shape);
                        Assert.Equal(expected[i], values(outputs[i]).Typed!.ToInts());
                    }
                    return 0;
                });
                owned.ForEach(v => v.Dispose());
            }
        }
    }

    [Fact]
    public void WrongSizesAreNamed()
    {
        Random random = new(9);
        using Case c = new([Pair("DequantizeLinear", "in0", "a", "ra"), Pair("DequantizeLinear", "in1", "a", "rb"), Nodes.Create("MatMul", "product", ["ra", "rb"], ["r"]), Pair("QuantizeLinear", "r", "a", "out")],
            [(DataType.Uint8, 2), (DataType.Uint8, 2)], DataType.Uint8, [.. Parameters(random, "a", DataType.Uint8, 0.01f)]);
        QuantException e = Assert.Throws<QuantException>(() => c.Run(Integers(random, DataType.Uint8, [3, 4]), Integers(random, DataType.Uint8, [5, 6])));
        Assert.Equal(ErrorIds.ShapeMismatch, e.ErrorId);
        Assert.Contains("[3, 4] cannot be multiplied with [5, 6]", e.Message, StringComparison.Ordinal);
    }

    private static DataType Eight(int i) => i % 2 == 0 ? DataType.Uint8 : DataType.Int8;

    private static NodeProto Pair(string opType, string from, string parameters, string to) => Nodes.Create(opType, $"{opType} {to}", [from, parameters + "s", parameters + "z"], [to]);

    private static TensorProto[] Parameters(Random random, string name, DataType type, float scale) =>
        [TensorProtos.Create(name + "s", [scale * (0.5f + random.NextSingle())], []), OneNode.Integers(type, [], random.Next(90, 160) - (type == DataType.Int8 ? 128 : 0)).Typed!.ToProto(name + "z")];

    /// <summary>Random bytes; signed ones below a magnitude, as ONNX Runtime adds pairs of products by larger ones with saturation on processors without
    /// VNNI.</summary>
    private static GraphValue Integers(Random random, DataType type, int[] shape, int signedBelow = 128)
    {
        IntegerTensor t = IntegerTensor.Allocate(type, shape);
        random.NextBytes(t.Memory.Span);
        if (type == DataType.Int8)
        {
            foreach (ref byte b in t.Memory.Span)
                b = (byte)((sbyte)b * signedBelow / 128);
        }
        return new GraphValue(t);
    }

    /// <summary>A model of inputs "in0" and so on and an output "out", all of 8 bits: one layer here, whatever ONNX Runtime makes of it there.</summary>
    private sealed class Case : IDisposable
    {
        private readonly ModelPlan plan;
        private readonly OnnxRuntimeSession session;

        public Case(IEnumerable<NodeProto> nodes, (DataType Type, int Rank)[] inputs, DataType result, IEnumerable<TensorProto> constants, int opset = 17)
        {
            GraphProto graph = new() { Name = "attention" };
            graph.Node.AddRange(nodes);
            graph.Initializer.AddRange(constants);
            graph.Input.AddRange(inputs.Select((x, i) => Nodes.Value($"in{i}", x.Type, [.. Enumerable.Range(0, x.Rank).Select(d => $"d{i}{d}")])));
            graph.Output.Add(new ValueInfoProto { Name = "out", Type = new() { TensorType = new() { ElemType = (int)result } } });
            ModelProto proto = new() { IrVersion = 8, Graph = graph };
            proto.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
            proto.OpsetImport.Add(new OperatorSetIdProto { Domain = Microsoft, Version = 1 });
            OnnxModel model = OnnxModel.FromProto(proto, "attention");
            plan = new ModelPlan(model);
            Assert.IsType<UnitStep>(Assert.Single(plan.Steps));
            session = new OnnxRuntimeSession(model, settings: new SessionSettings { IntraOpThreads = 1 });
        }

        public IntegerTensor Run(params GraphValue[] inputs) => plan.RunValues(Named(inputs), values => values("out").Typed!);

        /// <summary>How many results differ from ONNX Runtime's, of how many; a tie moves one by a step at most.</summary>
        public (int Different, int All) Compare(int most, params GraphValue[] inputs)
        {
            // First, since a plan writes over inputs that nobody needs any more.
            IntegerTensor theirs = Theirs(inputs), ours = Run(inputs);
            Assert.Equal(theirs.Type, ours.Type);
            Assert.Equal(theirs.Shape, ours.Shape);
            int different = 0;
            for (int i = 0; i < ours.Length; i++)
            {
                Assert.InRange(Math.Abs(ours[i] - theirs[i]), 0, most);
                different += ours[i] == theirs[i] ? 0 : 1;
            }
            return (different, ours.Length);
        }


        public void Dispose()
        {
            plan.Dispose();
            session.Dispose();
        }

        public IntegerTensor Theirs(params GraphValue[] inputs)
        {
            List<OrtValue> owned = [];
            try
            {
                using IDisposableReadOnlyCollection<OrtValue> results = session.RunValues([.. Named(inputs).Keys], [.. inputs.Select(v => v.ToOrt(owned))], ["out"]);
                return IntegerTensor.FromOrt(results[0]);
            }
            finally
            {
                owned.ForEach(v => v.Dispose());
            }
        }

        private static Dictionary<string, GraphValue> Named(GraphValue[] inputs) => inputs.Select((v, i) => (Name: $"in{i}", Value: v)).ToDictionary(v => v.Name, v => v.Value);
    }
}
