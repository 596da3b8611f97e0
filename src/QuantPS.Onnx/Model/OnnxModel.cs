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

    /// <summary>Reads a model from a file.</summary>
    /// <exception cref="QuantException">FileNotFound, FileUnreadable, FileTruncated, NotAnOnnxModel, InvalidModel.</exception>
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
        return Parse(bytes, System.IO.Path.GetFileNameWithoutExtension(path), path);
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
        OnnxModel model = new(proto, name, path);
        _ = model.Graph;
        return model;
    }

    /// <summary>Version of an operator set; 0 when the model does not import it.</summary>
    public int OpsetOf(string domain) =>
        (int)(Proto.OpsetImport.FirstOrDefault(o => NormalizeDomain(o.Domain) == NormalizeDomain(domain))?.Version ?? 0);

    /// <summary>A deep copy that can be rewritten.</summary>
    public OnnxModel Clone() => new(Proto.Clone(), Name, Path);

    /// <summary>Forgets the index of the graph, after it was rewritten.</summary>
    public void Invalidate() => graph = null;

    /// <summary>The serialized form.</summary>
    public byte[] ToBytes() => Proto.ToByteArray();

    /// <summary>Writes the model: to a file beside the target first, which then takes the target's name, so that a half-written model is
    /// never seen.</summary>
    /// <param name="path">The target. Its folder must exist.</param>
    /// <param name="overwrite">Whether an existing file may be replaced.</param>
    /// <exception cref="QuantException">FileExists, FileNotWritable.</exception>
    public void Save(string path, bool overwrite = false)
    {
        if (!overwrite && File.Exists(path))
            throw new QuantException(ErrorIds.FileExists, $"'{path}' exists. Choose another name, or ask for it to be replaced.", path);
        string full = System.IO.Path.GetFullPath(path);
        string temporary = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(full)!,
            $".{System.IO.Path.GetFileName(full)}.{Guid.NewGuid():N}.tmp");
        try
        {
            using (FileStream stream = new(temporary, FileMode.CreateNew))
                Proto.WriteTo(stream);
            File.Move(temporary, full, overwrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryDelete(temporary);
            // Somebody else may have made the file since the check above.
            if (!overwrite && File.Exists(full))
                throw new QuantException(ErrorIds.FileExists, $"'{path}' exists. Choose another name, or ask for it to be replaced.", path, e);
            throw new QuantException(ErrorIds.FileNotWritable, $"'{path}' cannot be written: {e.Message}", path, e);
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }
    }

    public override string ToString() => $"{Name}: {Proto.Graph.Node.Count} nodes, opset {Opset}";

    internal static string NormalizeDomain(string domain) => domain == "ai.onnx" ? StandardDomain : domain;

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The reason why it could not be written is the error to report, not this one.
        }
    }
}
