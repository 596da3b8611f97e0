using System.Security.Cryptography;
using Google.Protobuf;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Calibration;

/// <summary>Which float model a calibration belongs to.</summary>
public sealed record ModelIdentity
{
    /// <summary>The model's name.</summary>
    public required string Name { get; init; }

    /// <summary>The file it was read from, if any. For people; it is not compared.</summary>
    public string? Path { get; init; }

    /// <summary>SHA-256 of the serialized model after the passes: of what was run.</summary>
    public required string Sha256 { get; init; }

    /// <summary>The same without initializers: tells other weights from another graph.</summary>
    public required string GraphSha256 { get; init; }

    public required int Nodes { get; init; }

    public required int Opset { get; init; }

    /// <param name="original">The model as it was given.</param>
    /// <param name="run">The model after the passes.</param>
    public static ModelIdentity Of(OnnxModel original, OnnxModel run)
    {
        ModelProto graph = run.Proto.Clone();
        graph.Graph.Initializer.Clear();
        graph.Graph.SparseInitializer.Clear();
        return new ModelIdentity
        {
            Name = original.Name,
            Path = original.Path,
            Sha256 = HashOf(run),
            GraphSha256 = Hash(graph),
            Nodes = run.Proto.Graph.Node.Count,
            Opset = run.Opset,
        };
    }

    /// <summary>Null for the same model; otherwise what differs.</summary>
    public string? DifferenceTo(ModelIdentity other)
    {
        if (Sha256 == other.Sha256)
            return null;
        if (GraphSha256 == other.GraphSha256)
            return "the graph is the same, but the weights are others";
        if (Opset != other.Opset)
            return $"its operator set is {other.Opset}, not {Opset}";
        return Nodes != other.Nodes ? $"its graph has {other.Nodes} nodes, not {Nodes}" : "its nodes, or the names of its values, are others";
    }

    private static string HashOf(OnnxModel model)
    {
        if (model.SizeBytes <= ModelFile.LargestSingleFile)
            return Hash(model.Proto);
        // Too large for one message: the message without the weights, then these.
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(OnnxModel.WithoutWeights(model.Proto).ToByteArray());
        foreach (TensorProto t in model.Proto.Graph.Initializer)
            hash.AppendData(t.RawData.Span);
        GC.KeepAlive(model);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Hash(ModelProto proto) => Convert.ToHexStringLower(SHA256.HashData(proto.ToByteArray()));
}
