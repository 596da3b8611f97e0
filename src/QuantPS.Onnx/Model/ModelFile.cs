using System.Runtime.InteropServices;
using Google.Protobuf;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model.Proto;
using DataLocation = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataLocation;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Model;

/// <summary>Writes a model as one file, or with its weights in a second one beside it.</summary>
/// <remarks>Both appear by rename, whole or not at all, and a model never stands beside another one's weights. The data file is the model's
/// name with ".data" behind, as PyTorch's exporter has it. Offsets are multiples of a page, for large tensors of what Windows can map.</remarks>
internal static class ModelFile
{
    /// <summary>Protocol buffers end at 2 GB; the rest is for what else a model holds.</summary>
    public const long LargestSingleFile = int.MaxValue - (64L << 20);

    /// <summary>Smaller tensors stay in the model: shapes and axes are needed to read the graph. onnx.save_model has the same limit.</summary>
    public const int SmallestOutside = 1024;

    private const int Page = 4096, MappableOffset = 65536, LargeTensor = 1 << 20;

    /// <summary>The file beside a model that takes its weights.</summary>
    public static string DataPath(string path) => path + ".data";

    /// <param name="model">The model.</param>
    /// <param name="path">The target. Its folder must exist.</param>
    /// <param name="overwrite">Whether existing files may be replaced.</param>
    /// <param name="externalData">Whether the weights go to a file of their own.</param>
    /// <exception cref="QuantException">FileExists, FileNotWritable.</exception>
    public static void Save(OnnxModel model, string path, bool overwrite, bool externalData)
    {
        string full = Path.GetFullPath(path), data = DataPath(full);
        string[] targets = externalData ? [data, full] : [full];
        CheckFree();
        string[] temporary = [.. targets.Select(Temporary)];
        try
        {
            ModelProto proto = model.Proto;
            if (externalData)
            {
                proto = proto.Clone();
                using FileStream stream = new(temporary[0], FileMode.CreateNew);
                MoveOut(proto, stream, Path.GetFileName(data));
            }
            using (FileStream stream = new(temporary[^1], FileMode.CreateNew))
                proto.WriteTo(stream);
            Publish(temporary, targets, overwrite);
            // The bytes may be a mapped file, which lives as long as the model does.
            GC.KeepAlive(model);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Somebody else may have made the file since the check above.
            CheckFree(e);
            throw new QuantException(ErrorIds.FileNotWritable, $"'{path}' cannot be written: {e.Message}", path, e);
        }
        finally
        {
            foreach (string file in temporary)
                TryDelete(file);
        }

        void CheckFree(Exception? cause = null)
        {
            if (!overwrite && targets.FirstOrDefault(File.Exists) is string there)
                throw new QuantException(ErrorIds.FileExists, $"'{there}' exists. Choose another name, or ask for it to be replaced.", path, cause);
        }
    }

    /// <summary>Gives files their names, the model last; what was there stays aside until all is done, and comes back if it cannot be.</summary>
    private static void Publish(string[] from, string[] to, bool overwrite)
    {
        if (to.Length == 1)
        {
            File.Move(from[0], to[0], overwrite);
            return;
        }
        string[] aside = [.. to.Select(Temporary)];
        int taken = to.Length, given = 0;
        try
        {
            // The model goes first and comes last: whatever happens between, no model is there rather than one with foreign weights.
            while (taken > 0)
            {
                if (overwrite && File.Exists(to[taken - 1]))
                    File.Move(to[taken - 1], aside[taken - 1]);
                taken--;
            }
            for (; given < to.Length; given++)
                File.Move(from[given], to[given]);
        }
        catch
        {
            for (int i = 0; i < given; i++)
                TryDelete(to[i]);
            for (int i = taken; i < to.Length; i++)
            {
                if (File.Exists(aside[i]))
                    File.Move(aside[i], to[i]);
            }
            throw;
        }
        foreach (string file in aside)
            TryDelete(file);
    }

    private static void MoveOut(ModelProto proto, FileStream stream, string location)
    {
        foreach (TensorProto t in TensorWalk.GraphsOf(proto.Graph).SelectMany(g => g.Initializer))
        {
            ReadOnlySpan<byte> raw = RawOf(t);
            if (raw.Length < SmallestOutside)
                continue;
            long alignment = raw.Length < LargeTensor ? Page : MappableOffset;
            stream.Position = (stream.Position + alignment - 1) / alignment * alignment;
            PointTo(t, location, stream.Position, raw.Length);
            stream.Write(raw);
            Empty(t);
        }
    }

    /// <summary>Says where the values of a tensor are, instead of holding them.</summary>
    public static void PointTo(TensorProto tensor, string location, long offset, long length)
    {
        tensor.DataLocation = DataLocation.External;
        tensor.ExternalData.Clear();
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = location });
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "offset", Value = offset.ToString() });
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "length", Value = length.ToString() });
    }

    /// <summary>Forgets a tensor's values.</summary>
    public static void Empty(TensorProto tensor)
    {
        tensor.ClearRawData();
        tensor.FloatData.Clear();
        tensor.DoubleData.Clear();
        tensor.Int64Data.Clear();
        tensor.Int32Data.Clear();
    }

    /// <summary>The values as they would lie in raw_data; empty for types whose own fields are not laid out like that.</summary>
    private static ReadOnlySpan<byte> RawOf(TensorProto t) => t.HasRawData ? t.RawData.Span : t.Type() switch
    {
        DataType.Float => MemoryMarshal.AsBytes<float>(t.FloatData.ToArray()),
        DataType.Double => MemoryMarshal.AsBytes<double>(t.DoubleData.ToArray()),
        DataType.Int64 => MemoryMarshal.AsBytes<long>(t.Int64Data.ToArray()),
        DataType.Int32 => MemoryMarshal.AsBytes<int>(t.Int32Data.ToArray()),
        _ => [],
    };

    private static string Temporary(string path) =>
        Path.Combine(Path.GetDirectoryName(path)!, $".{Path.GetFileName(path)}.{Guid.NewGuid():N}.tmp");

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
