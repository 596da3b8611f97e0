using Google.Protobuf;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Model;

/// <summary>A model in ONNX form, with the file it came from. Everything in the file survives a round trip, also what this version does not
/// know.</summary>
public sealed class OnnxModel
{
    /// <summary>Opset domain of the standard operators. "ai.onnx" means the same.</summary>
    public const string StandardDomain = "";

    /// <summary>Since this IR version an initializer need not be listed among the graph's inputs.</summary>
    public const int FirstIrWithFreeInitializers = 4;

    private GraphIndex? graph;

    private OnnxModel(ModelProto proto, string name, string? path)
    {
        Proto = proto;
        Name = name;
        Path = path;
    }

    /// <summary>The message itself. After changing its graph, call <see cref="Invalidate"/>.</summary>
    public ModelProto Proto { get; }

    /// <summary>The file's name without extension, or the name that its maker gave.</summary>
    public string Name { get; }

    /// <summary>The file it was read from; null when it was made in memory.</summary>
    public string? Path { get; }

    /// <summary>Who produces and consumes what.</summary>
    /// <exception cref="QuantException">InvalidModel: undefined or doubly defined values, a cycle.</exception>
    public GraphIndex Graph => graph ??= new GraphIndex(Proto, Where);

    /// <summary>Version of the standard operator set; 0 when the model imports none.</summary>
    public int Opset => OpsetOf(StandardDomain);

    private string Where => Path ?? Name;

    /// <summary>Bytes of its serialized form as one file, whatever there may be of it.</summary>
    public long SizeBytes
    {
        get
        {
            long weights = Proto.Graph.Initializer.Sum(t => (long)t.RawData.Length);
            // A message knows its size in 31 bits.
            return weights < ModelFile.LargestSingleFile ? Proto.CalculateSize() : weights + WithoutWeights(Proto).CalculateSize();
        }
    }

    /// <summary>What was done to the model of the file to make this one, pass by pass; empty for the model of the file.</summary>
    public IReadOnlyList<AppliedPass> Preparation { get; internal set; } = [];

    /// <summary>Whether it was quantized since it was read: an error in it need not be one of the file.</summary>
    internal bool IsQuantizedForm { get; set; }

    /// <summary>Reads a model from a file, and the values that it keeps in files beside it.</summary>
    /// <exception cref="QuantException">FileNotFound, FileUnreadable, FileTruncated, NotAnOnnxModel, InvalidModel, ExternalDataOutsideFolder.</exception>
    public static OnnxModel Load(string path)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new QuantException(ErrorIds.FileNotFound, $"There is no file '{path}'.", path, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new QuantException(ErrorIds.FileUnreadable, $"'{path}' cannot be read: {e.Message}", path, e);
        }
        OnnxModel model = Parse(bytes, System.IO.Path.GetFileNameWithoutExtension(path), path);
        ExternalData.Load(model.Proto, path);
        // Constants of the index are copies of tensors as they were.
        model.Invalidate();
        return model;
    }

    /// <summary>Reads a model from its serialized form.</summary>
    /// <param name="bytes">A serialized ModelProto.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="path">Where the bytes came from, for messages.</param>
    /// <exception cref="QuantException">FileTruncated, NotAnOnnxModel, InvalidModel.</exception>
    public static OnnxModel Parse(ReadOnlySpan<byte> bytes, string name, string? path = null)
    {
        string where = path ?? name;
        if (bytes.IsEmpty)
            throw new QuantException(ErrorIds.FileTruncated, $"'{where}' is empty. Copy or export the model again.", where);
        WireScan.Verdict verdict = WireScan.Scan(bytes);
        if (verdict == WireScan.Verdict.Truncated)
            throw new QuantException(ErrorIds.FileTruncated,
                $"'{where}' ends in the middle of the model after {bytes.Length} bytes. Copy or export it again.", where);
        ModelProto? proto = null;
        Exception? cause = null;
        if (verdict == WireScan.Verdict.WellFormed)
        {
            try
            {
                proto = ModelProto.Parser.ParseFrom(bytes);
            }
            catch (InvalidProtocolBufferException e)
            {
                cause = e;
            }
        }
        if (proto is null || proto.IrVersion <= 0)
            throw new QuantException(ErrorIds.NotAnOnnxModel,
                $"'{where}' is not an ONNX model. Give a file that was written by an ONNX exporter (usually *.onnx).", where, cause);
        return FromProto(proto, name, path);
    }

    /// <summary>Wraps a message that was built in memory.</summary>
    /// <exception cref="QuantException">NotAnOnnxModel: no graph, no outputs, no operator set; InvalidModel.</exception>
    public static OnnxModel FromProto(ModelProto proto, string name, string? path = null)
    {
        string where = path ?? name;
        if (proto.Graph is null || proto.Graph.Node.Count == 0 || proto.Graph.Output.Count == 0)
            throw new QuantException(ErrorIds.NotAnOnnxModel,
                $"'{where}' holds no graph with nodes and outputs, so there is nothing to run or quantize.", where);
        if (proto.OpsetImport.Count == 0)
            throw new QuantException(ErrorIds.NotAnOnnxModel,
                $"'{where}' names no operator set (opset_import), so its operators have no meaning. The file may be cut short; export it "
                + "again.", where);
        OneImportEach(proto);
        OnnxModel model = new(proto, name, path);
        _ = model.Graph;
        return model;
    }

    /// <summary>Tools that cut models into pieces write an import twice, and a model can name both "" and "ai.onnx", which are one operator set. ONNX
    /// Runtime takes the last; what raises the version has to find one place to raise.</summary>
    private static void OneImportEach(ModelProto proto)
    {
        OperatorSetIdProto[] last = [.. proto.OpsetImport.GroupBy(o => NormalizeDomain(o.Domain)).Select(same => same.Last())];
        if (last.Length == proto.OpsetImport.Count)
            return;
        proto.OpsetImport.Clear();
        proto.OpsetImport.AddRange(last);
    }

    /// <summary>Version of an operator set; 0 when the model does not import it.</summary>
    public int OpsetOf(string domain) =>
        (int)(Proto.OpsetImport.FirstOrDefault(o => NormalizeDomain(o.Domain) == NormalizeDomain(domain))?.Version ?? 0);

    /// <summary>A deep copy that can be rewritten.</summary>
    public OnnxModel Clone() => new(Proto.Clone(), Name, Path) { Preparation = Preparation, IsQuantizedForm = IsQuantizedForm };

    /// <summary>Forgets the index of the graph, after it was rewritten.</summary>
    public void Invalidate() => graph = null;

    /// <summary>The serialized form.</summary>
    /// <exception cref="QuantException">FileNotWritable: larger than the format allows in one piece.</exception>
    public byte[] ToBytes() => SizeBytes <= ModelFile.LargestSingleFile ? Proto.ToByteArray() : throw new QuantException(ErrorIds.FileNotWritable,
        $"'{Where}' has {SizeBytes} bytes, more than the 2 GB that fit into one file. Save it with external data.", this);

    /// <summary>Writes the model under a temporary name first, so that a half-written one is never seen.</summary>
    /// <param name="path">The target. Its folder must exist.</param>
    /// <param name="overwrite">Whether an existing file may be replaced.</param>
    /// <param name="externalData">Whether the weights go to a file of their own, <paramref name="path"/> with ".data" behind; null: if they have
    /// to, beyond 2 GB.</param>
    /// <exception cref="QuantException">FileExists, FileNotWritable.</exception>
    public void Save(string path, bool overwrite = false, bool? externalData = null) =>
        ModelFile.Save(this, path, overwrite, NeedsExternalData(externalData));

    /// <summary>The files that <see cref="Save"/> writes.</summary>
    public string[] FilesOf(string path, bool? externalData = null) => NeedsExternalData(externalData) ? [path, ModelFile.DataPath(path)] : [path];

    /// <summary>A copy of a message without the values of its initializers.</summary>
    internal static ModelProto WithoutWeights(ModelProto proto)
    {
        ModelProto copy = proto.Clone();
        foreach (TensorProto t in copy.Graph.Initializer)
            t.ClearRawData();
        return copy;
    }

    private bool NeedsExternalData(bool? wanted) => wanted ?? SizeBytes > ModelFile.LargestSingleFile;

    public override string ToString() => $"{Name}: {Proto.Graph.Node.Count} nodes, opset {Opset}";

    internal static string NormalizeDomain(string domain) => domain == "ai.onnx" ? StandardDomain : domain;
}
