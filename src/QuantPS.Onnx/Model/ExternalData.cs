using System.Globalization;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model.Proto;
using DataLocation = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataLocation;

namespace QuantPS.Onnx.Model;

/// <summary>Tensors whose values a model keeps in files beside itself: afterwards they look as if the model held them.</summary>
/// <remarks>Source: onnx docs/ExternalData.md: keys location (relative to the model), offset, length; checksum is optional and not compared.
/// Small files are read; of large ones the memory is the file itself, paged in when a tensor is looked at (<see cref="MappedFile"/>).</remarks>
internal static class ExternalData
{
    /// <summary>Bytes of a file up to which they are read at once. A mapped file must not be cut short while it is in use.</summary>
    public const long MostRead = 256L << 20;

    private sealed record Slice(TensorProto Tensor, string Location, long Offset, long? Length);

    /// <summary>Fetches the values of every tensor that is stored outside.</summary>
    /// <param name="model">The message; changed in place.</param>
    /// <param name="path">The file that it came from.</param>
    /// <param name="mostRead">Larger files are mapped.</param>
    /// <exception cref="QuantException">ExternalDataOutsideFolder, FileNotFound, FileUnreadable, FileTruncated, InvalidModel (a number that is
    /// none, a length that does not fit the shape); each names the tensor and the file.</exception>
    public static void Load(ModelProto model, string path, long mostRead = MostRead)
    {
        IEnumerable<Slice> slices = TensorWalk.TensorsOf(model).Where(t => t.DataLocation == DataLocation.External).Select(t => Describe(t, path));
        foreach (IGrouping<string, Slice> group in slices.GroupBy(s => s.Location).ToArray())
        {
            TensorProto first = group.First().Tensor;
            string what = $"which '{path}' names for its tensor '{first.Name}'";
            try
            {
                string file = ConfinedPath.Resolve(path, group.Key) ?? throw new QuantException(ErrorIds.ExternalDataOutsideFolder,
                    $"'{path}' wants the values of its tensor '{first.Name}' from '{group.Key}', which is not in the model's own folder. "
                    + "Such a model can make its reader open any file, so it is refused; put the data beside the model.", path);
                LoadFrom(file, [.. group], path, mostRead);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                throw new QuantException(ErrorIds.FileNotFound, $"There is no file '{group.Key}', {what}. Copy it beside the model.", path, e);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new QuantException(ErrorIds.FileUnreadable, $"'{group.Key}', {what}, cannot be read: {e.Message}", path, e);
            }
        }
    }

    private static void LoadFrom(string file, Slice[] slices, string path, long mostRead)
    {
        // The length first: what is no plain file has none, and opening a pipe would wait for a writer.
        long size = new FileInfo(file).Length;
        foreach (Slice s in slices)
        {
            if (s.Offset > size || (s.Length ?? 0) > size - s.Offset)
            {
                throw new QuantException(ErrorIds.FileTruncated, $"'{s.Location}' has {size} bytes, but the tensor '{s.Tensor.Name}' of '{path}' lies at "
                    + $"{s.Offset}{(s.Length is long n ? $" with {n} bytes" : "")}. Copy or export both files again.", path);
            }
        }
        using SafeFileHandle handle = File.OpenHandle(file);
        MappedFile? mapped = size > mostRead ? new MappedFile(handle) : null;
        foreach (Slice s in slices)
        {
            long length = s.Length ?? size - s.Offset;
            if (length > Array.MaxLength)
            {
                throw new QuantException(ErrorIds.UnsupportedDType, $"The tensor '{s.Tensor.Name}' of '{path}' has {length} bytes; "
                    + "a single tensor may have 2 GB. Split it.", path);
            }
            s.Tensor.RawData = UnsafeByteOperations.UnsafeWrap(length == 0 ? default : mapped?.Slice(s.Offset, (int)length) ?? Read(handle, s.Offset, (int)length));
            s.Tensor.ClearDataLocation();
            s.Tensor.ExternalData.Clear();
        }
    }

    private static ReadOnlyMemory<byte> Read(SafeFileHandle handle, long offset, int length)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        for (int at = 0; at < length;)
        {
            int n = RandomAccess.Read(handle, bytes.AsSpan(at), offset + at);
            at += n > 0 ? n : throw new IOException("it became shorter while it was read.");
        }
        return bytes;
    }

    private static Slice Describe(TensorProto tensor, string path)
    {
        string? location = tensor.ExternalData.FirstOrDefault(e => e.Key == "location")?.Value;
        if (string.IsNullOrEmpty(location))
            throw Invalid("does not say in which file");
        long? length = Number("length");
        long? needed = tensor.ByteCount();
        if (length is long given && needed is long fitting && given != fitting)
            throw Invalid($"names {given} bytes in '{location}', but its shape needs {fitting}");
        return new Slice(tensor, location, Number("offset") ?? 0, length ?? needed);

        long? Number(string key)
        {
            if (tensor.ExternalData.FirstOrDefault(e => e.Key == key)?.Value is not string text)
                return null;
            return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value
                : throw Invalid($"has the {key} '{text}', which is not a number");
        }

        QuantException Invalid(string what) => new(ErrorIds.InvalidModel,
            $"'{path}' is not a valid model: its tensor '{tensor.Name}' is stored outside the model and {what}. Export it again.", path);
    }
}
