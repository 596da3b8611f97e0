using Google.Protobuf;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Tests.Model;

public class OnnxModelTests
{
    public static TheoryData<string> Networks => [.. TestData.Networks];

    [Theory]
    [MemberData(nameof(Networks))]
    public void FileSurvivesUnchanged(string network)
    {
        byte[] original = File.ReadAllBytes(TestData.PathOf(network + ".onnx"));
        Assert.Equal(original, OnnxModel.Parse(original, network).ToBytes());
    }

    [Fact]
    public void UnknownFieldsSurvive()
    {
        byte[] original = File.ReadAllBytes(TestData.PathOf("fmnist-resnet8.onnx"));
        // Field 4000 of ModelProto, and field 4001 inside a NodeProto.
        OnnxModel model = OnnxModel.Parse([.. original, .. Field(4000, "from the future")], "future");
        model.Proto.Graph.Node[3].MergeFrom(Field(4001, "inside a node"));
        byte[] bytes = model.ToBytes();
        Assert.Equal(bytes, OnnxModel.Parse(bytes, "again").ToBytes());
        Assert.True(bytes.AsSpan().IndexOf("from the future"u8) > 0);
        Assert.True(bytes.AsSpan().IndexOf("inside a node"u8) > 0);

        static byte[] Field(int number, string text)
        {
            using MemoryStream stream = new();
            using CodedOutputStream output = new(stream);
            output.WriteTag(number, WireFormat.WireType.LengthDelimited);
            output.WriteString(text);
            output.Flush();
            return stream.ToArray();
        }
    }

    /// <summary>Wherever the file is cut, the words say that it was cut.</summary>
    [Fact]
    public void TruncatedAnywhere()
    {
        byte[] original = File.ReadAllBytes(TestData.PathOf("fmnist-mobile.onnx"));
        int[] lengths = [0, 30, 50, 100, 1000, original.Length / 2, original.Length - 200, original.Length - 30, original.Length - 1];
        Assert.All(lengths, n => Assert.Equal(ErrorIds.FileTruncated, Error(() => OnnxModel.Parse(original.AsSpan(0, n), "cut")).ErrorId));
    }

    [Fact]
    public void NotAModel()
    {
        Random random = new(1);
        byte[] noise = new byte[5000];
        random.NextBytes(noise);
        byte[][] files = ["hello, world"u8.ToArray(), "{\"a\": 1}"u8.ToArray(), noise, new byte[100], File.ReadAllBytes(TestData.PathOf("test2000-labels-idx1-ubyte.gz")), [0x89, .. "PNG\r\n"u8, 26, 10, .. noise],
            [.. Enumerable.Repeat((byte)'a', 300)], "PK\u0003\u0004 something zipped"u8.ToArray()];
        Assert.All(files, f => Assert.Equal(ErrorIds.NotAnOnnxModel, Error(() => OnnxModel.Parse(f, "file")).ErrorId));
    }

    [Fact]
    public void MissingFileAndFolder()
    {
        using TempFile file = new();
        Assert.Equal(ErrorIds.FileNotFound, Error(() => OnnxModel.Load(file.Path)).ErrorId);
        QuantException e = Error(() => OnnxModel.Load(Path.Combine(file.Folder, "nowhere", "model.onnx")));
        Assert.Equal(ErrorIds.FileNotFound, e.ErrorId);
        Assert.Contains("nowhere", e.Message);
        Assert.Equal(ErrorIds.FileUnreadable, Error(() => OnnxModel.Load(file.Folder)).ErrorId);
    }

    [Fact]
    public void NoGraphNoOutputsNoOpset()
    {
        OnnxModel good = TestModels.Conv(1, 1, 1);
        Assert.All((Action<ModelProto>[])[p => p.Graph = null, p => p.Graph.Node.Clear(), p => p.Graph.Output.Clear(), p => p.OpsetImport.Clear(), p => p.ClearIrVersion()], spoil =>
        {
            ModelProto proto = good.Proto.Clone();
            spoil(proto);
            Assert.Equal(ErrorIds.NotAnOnnxModel, Error(() => OnnxModel.Parse(proto.ToByteArray(), "spoilt")).ErrorId);
        });
    }

    [Fact]
    public void UndefinedValueNamesTheNode()
    {
        QuantException e = Error(() => TestModels.Graph(["N"], [Nodes.Create("Relu", "first", ["nothing"], ["y"])], [], ["y"]));
        Assert.Equal(ErrorIds.InvalidModel, e.ErrorId);
        Assert.Contains("first (Relu)", e.Message);
        Assert.Contains("'nothing'", e.Message);
        Assert.Contains("'test'", e.Message);
    }

    [Fact]
    public void DoubleDefinitionCycleAndMissingOutput()
    {
        Assert.Equal(ErrorIds.InvalidModel, Error(() => TestModels.Graph(["N"], [Nodes.Create("Relu", "a", ["x"], ["y"]), Nodes.Create("Relu", "b", ["x"], ["y"])], [], ["y"])).ErrorId);
        Assert.Contains("b (Relu)", Error(() => TestModels.Graph(["N"], [Nodes.Create("Relu", "b", ["z"], ["y"]), Nodes.Create("Relu", "c", ["y"], ["z"])], [], ["y"])).Message);
        Assert.Contains("'q'", Error(() => TestModels.Graph(["N"], [Nodes.Create("Relu", "a", ["x"], ["y"])], [], ["q"])).Message);
    }

    [Fact]
    public void SaveRefusesToOverwriteAndLeavesNothingBehind()
    {
        using TempFile file = new();
        OnnxModel model = TestModels.Conv(2, 3, 3);
        model.Save(file.Path);
        Assert.Equal(ErrorIds.FileExists, Error(() => model.Save(file.Path)).ErrorId);
        model.Save(file.Path, overwrite: true);
        Assert.Equal(model.ToBytes(), OnnxModel.Load(file.Path).ToBytes());
        Assert.Equal([file.Path], Directory.GetFiles(file.Folder));
        Assert.Equal(ErrorIds.FileNotWritable, Error(() => model.Save(Path.Combine(file.Folder, "nowhere", "m.onnx"))).ErrorId);
    }

    [Fact]
    public void NodesInAnyOrderAreSorted()
    {
        OnnxModel model = TestModels.Graph(["N"], [Nodes.Create("Relu", "b", ["h"], ["y"]), Nodes.Create("Relu", "a", ["x"], ["h"])], [], ["y"]);
        Assert.Equal(["a", "b"], model.Graph.Nodes.Select(n => n.Name));
    }

    private static QuantException Error(Action action) => Assert.Throws<QuantException>(action);

    private static QuantException Error(Func<object> action) => Assert.Throws<QuantException>(action);
}
