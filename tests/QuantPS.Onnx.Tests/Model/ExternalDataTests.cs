using Google.Protobuf;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using DataLocation = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataLocation;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Model;

public class ExternalDataTests
{
    private static readonly Tensor Image = TestModels.Random(7, 1, 8, 6, 6);

    [Theory]
    [InlineData(ExternalData.MostRead)]
    [InlineData(0)]
    public void ReadOrMappedTheValuesAreTheSame(long mostRead)
    {
        using TempFile file = new();
        OnnxModel whole = Net();
        WriteOutside(whole, file.Path, "weights.bin", pad: 5000);
        ModelProto proto = ModelProto.Parser.ParseFrom(File.ReadAllBytes(file.Path));
        Assert.Contains(proto.Graph.Initializer, t => t.DataLocation == DataLocation.External);
        ExternalData.Load(proto, file.Path, mostRead);
        Assert.Equal(whole.Proto.Graph.Initializer.Select(t => t.RawData), proto.Graph.Initializer.Select(t => t.RawData));
        Assert.Equal(whole.ToBytes(), proto.ToByteArray());
    }

    [Fact]
    public void ModelRunsCalibratesAndQuantizesAsTheWholeOneDoes()
    {
        using TempFile file = new();
        OnnxModel whole = Net();
        WriteOutside(whole, file.Path, "sub/weights.bin");
        OnnxModel outside = OnnxModel.Load(file.Path);
        Assert.Equal(Run(whole), Run(outside));
        Assert.Equal(QdqExporter.Export(Quantize(whole)).Model.ToBytes(), QdqExporter.Export(Quantize(outside)).Model.ToBytes());
    }

    /// <summary>A length that is left out follows from the shape.</summary>
    [Fact]
    public void OffsetAndLengthMayBeLeftOut()
    {
        using TempFile file = new();
        OnnxModel model = Net();
        TensorProto w = model.Proto.Graph.Initializer.First(t => t.Name == "w1");
        byte[] values = w.RawData.ToByteArray();
        File.WriteAllBytes(Path.Combine(file.Folder, "w1.bin"), [.. values, 1, 2, 3]);
        PointTo(w, "w1.bin");
        model.Save(file.Path);
        Assert.Equal(values, OnnxModel.Load(file.Path).Graph.Constant("w1")!.RawData.ToByteArray());
    }

    [Fact]
    public void AttributesAndBodiesMayBeOutsideToo()
    {
        using TempFile file = new();
        TensorProto inBody = TensorProtos.Create("inside", Enumerable.Range(0, 4).Select(i => (float)i).ToArray(), [4]);
        GraphProto Body(string name, string op)
        {
            GraphProto g = new() { Name = name };
            g.Node.Add(Nodes.Create(op, name, ["x", name + "_c"], [name + "_y"]));
            TensorProto c = inBody.Clone();
            c.Name = name + "_c";
            g.Initializer.Add(c);
            g.Output.Add(Nodes.Value(name + "_y", DataType.Float, 4));
            return g;
        }
        AttributeProto Branch(string name, GraphProto g) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Graph, G = g };
        AttributeProto value = new() { Name = "value", Type = AttributeProto.Types.AttributeType.Tensor, T = inBody.Clone() };
        OnnxModel model = TestModels.Graph([4],
            [
                Nodes.Create("Constant", "k", [], ["k"], value), Nodes.Create("ReduceSum", "s", ["x"], ["sum"], Nodes.Attribute("keepdims", 0L)),
                Nodes.Create("Greater", "g", ["sum", "zero"], ["positive"]),
                Nodes.Create("If", "i", ["positive"], ["h"], Branch("then_branch", Body("a", "Add")), Branch("else_branch", Body("b", "Sub"))),
                Nodes.Create("Mul", "m", ["h", "k"], ["y"]),
            ], [TensorProtos.Create("zero", [0f], [])], ["y"]);
        float[] expected = Run(model, new Tensor([4], new float[] { 1, 2, 3, 4 }));
        byte[] bytes = inBody.RawData.ToByteArray();
        File.WriteAllBytes(Path.Combine(file.Folder, "c.bin"), bytes);
        TensorProto[] tensors = [.. TensorWalk.TensorsOf(model.Proto).Where(t => t.Name != "zero")];
        Assert.Equal(3, tensors.Length);
        foreach (TensorProto t in tensors)
            PointTo(t, "c.bin");
        model.Save(file.Path);
        Assert.Equal(expected, Run(OnnxModel.Load(file.Path), new Tensor([4], new float[] { 1, 2, 3, 4 })));
    }

    [Theory]
    [InlineData("../secret.bin")]
    [InlineData("sub/../../secret.bin")]
    [InlineData("/etc/hostname")]
    [InlineData("\\\\server\\share\\w.bin")]
    [InlineData("link.bin")]
    [InlineData("linked/secret.bin")]
    [InlineData("linked/../secret.bin")]
    public void DataOutsideTheFolderIsRefused(string location)
    {
        using TempFile outer = new();
        string folder = Path.Combine(outer.Folder, "model"), secret = Path.Combine(outer.Folder, "secret.bin"), path = Path.Combine(folder, "m.onnx");
        Directory.CreateDirectory(Path.Combine(folder, "sub"));
        Directory.CreateDirectory(Path.Combine(outer.Folder, "other"));
        OnnxModel model = Net();
        TensorProto w = model.Proto.Graph.Initializer.First(t => t.Name == "w1");
        foreach (string file in (string[])[secret, Path.Combine(outer.Folder, "other", "secret.bin")])
            File.WriteAllBytes(file, w.RawData.ToByteArray());
        File.CreateSymbolicLink(Path.Combine(folder, "link.bin"), secret);
        File.CreateSymbolicLink(Path.Combine(folder, "linked"), Path.Combine("..", "other"));
        PointTo(w, location);
        model.Save(path);
        QuantException e = Assert.Throws<QuantException>(() => OnnxModel.Load(path));
        Assert.Equal(ErrorIds.ExternalDataOutsideFolder, e.ErrorId);
        Assert.Contains(path, e.Message);
        Assert.Contains("'w1'", e.Message);
        Assert.Contains(location, e.Message);
    }

    [Theory]
    [InlineData("weights.bin")]
    [InlineData("./sub/../weights.bin")]
    [InlineData("link.bin")]
    [InlineData("linked/weights.bin")]
    public void WhateverStaysInTheFolderIsRead(string location)
    {
        using TempFile file = new();
        OnnxModel model = Net();
        TensorProto w = model.Proto.Graph.Initializer.First(t => t.Name == "w1");
        byte[] values = w.RawData.ToByteArray();
        Directory.CreateDirectory(Path.Combine(file.Folder, "sub"));
        foreach (string name in (string[])["weights.bin", "sub/weights.bin"])
            File.WriteAllBytes(Path.Combine(file.Folder, name), values);
        File.CreateSymbolicLink(Path.Combine(file.Folder, "link.bin"), "sub/../weights.bin");
        File.CreateSymbolicLink(Path.Combine(file.Folder, "linked"), Path.Combine(file.Folder, "sub"));
        PointTo(w, location);
        model.Save(file.Path);
        Assert.Equal(values, OnnxModel.Load(file.Path).Graph.Constant("w1")!.RawData.ToByteArray());
    }

    /// <summary>Download caches keep files under other names and link to them.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void LinkedModelFindsItsDataBesideTheRealOne(bool linkTheDataToo)
    {
        using TempFile file = new("blobs/a1.onnx");
        Directory.CreateDirectory(Path.Combine(file.Folder, "blobs"));
        string view = Path.Combine(file.Folder, "snapshot"), link = Path.Combine(view, "m.onnx");
        Directory.CreateDirectory(view);
        OnnxModel model = Net();
        WriteOutside(model, file.Path, "w.bin");
        File.CreateSymbolicLink(link, "../blobs/a1.onnx");
        if (linkTheDataToo)
            File.CreateSymbolicLink(Path.Combine(view, "w.bin"), "../blobs/w.bin");
        Assert.Equal(Run(model), Run(OnnxModel.Load(link)));
    }

    [Fact]
    public void MissingShortAndSenselessDataNameFileAndTensor()
    {
        using TempFile file = new();
        AssertError(ErrorIds.FileNotFound, "nowhere.bin", t => PointTo(t, "nowhere.bin"));
        File.WriteAllBytes(Path.Combine(file.Folder, "short.bin"), new byte[100]);
        AssertError(ErrorIds.FileTruncated, "short.bin", t => PointTo(t, "short.bin"));
        AssertError(ErrorIds.FileTruncated, "short.bin", t => PointTo(t, "short.bin", ("offset", "101"), ("length", "0")), dims: [0]);
        AssertError(ErrorIds.InvalidModel, "-3", t => PointTo(t, "short.bin", ("offset", "-3")));
        AssertError(ErrorIds.InvalidModel, "many", t => PointTo(t, "short.bin", ("length", "many")));
        AssertError(ErrorIds.InvalidModel, "100 bytes", t => PointTo(t, "short.bin", ("length", "100")));
        AssertError(ErrorIds.InvalidModel, "which file", t => t.DataLocation = DataLocation.External);
        AssertError(ErrorIds.InvalidModel, "impossible shape", t => PointTo(t, "short.bin"), dims: [-1]);
        AssertError(ErrorIds.FileTruncated, "short.bin", t => PointTo(t, "short.bin"), dims: [1 << 30, 1 << 30, 1 << 30]);

        void AssertError(string id, string words, Action<TensorProto> spoil, long[]? dims = null)
        {
            OnnxModel model = Net();
            TensorProto w = model.Proto.Graph.Initializer.First(t => t.Name == "w1");
            spoil(w);
            w.ClearRawData();
            if (dims is not null)
            {
                w.Dims.Clear();
                w.Dims.AddRange(dims);
            }
            model.Save(file.Path, overwrite: true);
            QuantException e = Assert.Throws<QuantException>(() => OnnxModel.Load(file.Path));
            Assert.Equal(id, e.ErrorId);
            Assert.Contains("'w1'", e.Message);
            Assert.Contains(words, e.Message);
        }
    }

    [Fact]
    public void SavedOutsideAndReadBack()
    {
        using TempFile file = new();
        OnnxModel model = Net(typedFields: true);
        float[] expected = Run(model);
        model.Save(file.Path, externalData: true);
        Assert.Equal([file.Path, file.Path + ".data"], Directory.GetFiles(file.Folder).Order(StringComparer.Ordinal));
        Assert.InRange(new FileInfo(file.Path).Length, 1, 2000);
        ModelProto proto = ModelProto.Parser.ParseFrom(File.ReadAllBytes(file.Path));
        Assert.Equal(["w1", "w2"], proto.Graph.Initializer.Where(t => t.DataLocation == DataLocation.External).Select(t => t.Name));
        Assert.All(proto.Graph.Initializer.SelectMany(t => t.ExternalData).Where(e => e.Key == "offset"), e => Assert.Equal(0, long.Parse(e.Value) % 4096));
        Assert.Equal(expected, Run(OnnxModel.Load(file.Path)));
        // What ONNX Runtime reads by itself.
        using Microsoft.ML.OnnxRuntime.InferenceSession session = new(file.Path);
        Assert.Equal("x", session.InputNames[0]);
    }

    [Fact]
    public void SavingOutsideReplacesBothOrNeither()
    {
        using TempFile file = new();
        OnnxModel first = Net(), second = Net(seed: 50);
        first.Save(file.Path, externalData: true);
        QuantException e = Assert.Throws<QuantException>(() => second.Save(file.Path, externalData: true));
        Assert.Equal(ErrorIds.FileExists, e.ErrorId);
        Assert.Equal(Run(first), Run(OnnxModel.Load(file.Path)));
        // Only the data is there: it may be another model's.
        File.Delete(file.Path);
        Assert.Contains(".data", Assert.Throws<QuantException>(() => second.Save(file.Path, externalData: true)).Message);
        first.Save(file.Path, overwrite: true, externalData: true);
        OnnxModel earlier = OnnxModel.Load(file.Path);
        second.Save(file.Path, overwrite: true, externalData: true);
        Assert.Equal(Run(second), Run(OnnxModel.Load(file.Path)));
        Assert.Equal(Run(first), Run(earlier));
        Assert.Equal(2, Directory.GetFiles(file.Folder, "*", new EnumerationOptions { AttributesToSkip = 0 }).Length);
        // A folder in the place of the data: nothing changes.
        File.Delete(file.Path + ".data");
        Directory.CreateDirectory(file.Path + ".data");
        byte[] before = File.ReadAllBytes(file.Path);
        Assert.Equal(ErrorIds.FileNotWritable, Assert.Throws<QuantException>(() => first.Save(file.Path, overwrite: true, externalData: true)).ErrorId);
        Assert.Equal(before, File.ReadAllBytes(file.Path));
        Assert.Single(Directory.GetFiles(file.Folder, "*", new EnumerationOptions { AttributesToSkip = 0 }));
    }

    /// <summary>What models beyond the limit go through, with the limit at nothing: weights are used where they lie.</summary>
    [Fact]
    public void WeightsInPlaceGiveTheSame()
    {
        OnnxModel model = Net();
        using OnnxRuntimeSession serialized = new(model), inPlace = new(model, ["h"], new SessionSettings { MostSerialized = 0 });
        GC.Collect();
        Assert.Equal(serialized.Run(Image)["y"].ToArray(), inPlace.Run(Image)["y"].ToArray());
        Assert.Contains("h", inPlace.Run(Image).Keys);
        Assert.All(model.Proto.Graph.Initializer, t => Assert.False(t.RawData.IsEmpty));
    }

    /// <summary>Three tables of 800 MB in a file of holes; only the rows that are looked up are ever read.</summary>
    [Fact]
    public void ModelBeyondTwoGigabytes()
    {
        const int Rows = 200_000, Columns = 1000;
        const long Bytes = 4L * Rows * Columns;
        using TempFile file = new();
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs a file system with sparse files");
        using (FileStream data = File.Create(Path.Combine(file.Folder, "tables.bin")))
        {
            data.SetLength(3 * Bytes);
            for (int table = 0; table < 3; table++)
            {
                data.Position = table * Bytes + 4L * Columns * (Rows - 1);
                data.Write(BitConverter.GetBytes(table + 1f));
            }
        }
        TensorProto Table(int i)
        {
            TensorProto t = new() { Name = $"table{i}", DataType = (int)DataType.Float, Dims = { Rows, Columns } };
            PointTo(t, "tables.bin", ("offset", $"{i * Bytes}"), ("length", $"{Bytes}"));
            return t;
        }
        GraphProto graph = new() { Name = "large" };
        graph.Input.Add(Nodes.Value("i", DataType.Int32, "n"));
        graph.Initializer.AddRange([Table(0), Table(1), Table(2)]);
        graph.Node.AddRange(Enumerable.Range(0, 3).Select(i => Nodes.Create("Gather", $"g{i}", [$"table{i}", "i"], [$"row{i}"])));
        graph.Node.Add(Nodes.Create("Sum", "sum", ["row0", "row1", "row2"], ["y"]));
        graph.Output.Add(Nodes.Value("y", DataType.Float, "n", Columns));
        ModelProto proto = new() { IrVersion = 8, Graph = graph, OpsetImport = { new OperatorSetIdProto { Version = 17 } } };
        File.WriteAllBytes(file.Path, proto.ToByteArray());

        OnnxModel model = OnnxModel.Load(file.Path);
        Assert.InRange(model.SizeBytes, 3 * Bytes, 3 * Bytes + 2000);
        using OnnxRuntimeSession session = new(model);
        Tensor rows = session.Run(new Tensor([2], new float[] { Rows - 1, 5 }))["y"];
        Assert.Equal(6f, rows[0, 0]);
        Assert.Equal(0f, rows[1, 0]);
        Assert.Equal(ErrorIds.FileNotWritable, Assert.Throws<QuantException>(() => model.ToBytes()).ErrorId);
        Assert.Equal(2, model.FilesOf("m.onnx").Length);
    }

    private static OnnxModel Net(int seed = 1, bool typedFields = false)
    {
        TensorProto w1 = TestModels.Weight("w1", seed, 16, 8, 3, 3), w2 = TestModels.Weight("w2", seed + 1, 8, 16, 3, 3);
        if (typedFields)
        {
            w2.FloatData.AddRange(w2.ToFloats());
            w2.ClearRawData();
        }
        return TestModels.Graph(["N", 8, 6, 6],
            [
                Nodes.Create("Conv", "c1", ["x", "w1", "b1"], ["c"], Nodes.Attribute("pads", [1, 1, 1, 1])), Nodes.Create("Relu", "r", ["c"], ["h"]),
                Nodes.Create("Conv", "c2", ["h", "w2"], ["y"], Nodes.Attribute("pads", [1, 1, 1, 1])),
            ], [w1, TestModels.Weight("b1", seed + 2, 16), w2], ["y"]);
    }

    private static float[] Run(OnnxModel model, Tensor? input = null)
    {
        using OnnxRuntimeSession session = new(model);
        return session.Run(input ?? Image)["y"].ToArray();
    }

    private static QuantizedGraph Quantize(OnnxModel model)
    {
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(Image);
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    /// <summary>Writes the weights as another tool might: all in one file, with bytes before and between.</summary>
    private static void WriteOutside(OnnxModel model, string path, string location, int pad = 3)
    {
        ModelProto proto = model.Proto.Clone();
        string file = Path.Combine(Path.GetDirectoryName(path)!, location);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        using (FileStream stream = File.Create(file))
        {
            foreach (TensorProto t in proto.Graph.Initializer)
            {
                stream.Position += pad;
                byte[] bytes = t.RawData.ToByteArray();
                PointTo(t, location, ("offset", stream.Position.ToString()), ("length", bytes.Length.ToString()), ("checksum", "0123"));
                stream.Write(bytes);
            }
        }
        File.WriteAllBytes(path, proto.ToByteArray());
    }

    private static void PointTo(TensorProto tensor, string location, params (string Key, string Value)[] more)
    {
        tensor.ClearRawData();
        tensor.DataLocation = DataLocation.External;
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = location });
        tensor.ExternalData.AddRange(more.Select(m => new StringStringEntryProto { Key = m.Key, Value = m.Value }));
    }
}
