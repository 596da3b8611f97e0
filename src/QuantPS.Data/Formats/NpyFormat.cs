using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using QuantPS.Data.Elements;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Formats;

/// <summary>NumPy's .npy: reads versions 1 to 3, every bool, integer and float type, both byte orders, C and Fortran order; writes version 1, C order.</summary>
/// <remarks>Source: numpy/lib/format.py, NEP 1.</remarks>
public sealed partial class NpyFormat : TensorFormat
{
    private const int WriteAlignment = 64;

    private static readonly Dictionary<string, ElementType> Types = new()
    {
        ["b1"] = ElementType.Bool,
        ["u1"] = ElementType.UInt8,
        ["i1"] = ElementType.Int8,
        ["u2"] = ElementType.UInt16,
        ["i2"] = ElementType.Int16,
        ["u4"] = ElementType.UInt32,
        ["i4"] = ElementType.Int32,
        ["u8"] = ElementType.UInt64,
        ["i8"] = ElementType.Int64,
        ["f2"] = ElementType.Float16,
        ["f4"] = ElementType.Float32,
        ["f8"] = ElementType.Float64,
    };

    private static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <inheritdoc/>
    public override string Name => ".npy";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".npy"];

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) => head.StartsWith(Magic);

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        yield return Read(file, file.Open(), file.Path, null);
    }

    /// <summary>An .npy array that begins where the stream stands. Takes the stream over.</summary>
    internal static TensorSource Read(InputFile file, InputStream stream, string label, string? name)
    {
        try
        {
            return ReadHeader(file, stream, label, name);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    private static TensorSource ReadHeader(InputFile file, InputStream stream, string label, string? name)
    {
        byte[] start = new byte[8];
        stream.ReadExactly(start, () => "the 8 bytes that begin an .npy");
        if (!start.AsSpan().StartsWith(Magic))
            throw file.NotA(".npy", $"it begins with {Convert.ToHexString(start, 0, 6)}, not with 934E554D5059.");
        int version = start[6];
        if (version is < 1 or > 3)
            throw file.NotA(".npy", $"version {version}.{start[7]} is not known; 1 to 3 are.");
        byte[] size = new byte[version == 1 ? 2 : 4];
        stream.ReadExactly(size, () => "the length of the .npy header");
        long headerBytes = version == 1 ? BinaryPrimitives.ReadUInt16LittleEndian(size) : BinaryPrimitives.ReadUInt32LittleEndian(size);
        if (headerBytes > 1 << 20)
            throw file.NotA(".npy", $"its header claims {headerBytes} bytes.");
        byte[] headerText = new byte[headerBytes];
        stream.ReadExactly(headerText, () => $"an .npy header of {headerBytes} bytes");
        string header = (version == 3 ? Encoding.UTF8 : Encoding.Latin1).GetString(headerText).Trim();

        Match fortran = FortranOrder().Match(header), shapeText = ShapePattern().Match(header), descr = Descr().Match(header);
        if (!fortran.Success || !shapeText.Success)
            throw file.NotA(".npy", $"its header is {header}");
        if (!descr.Success || !Types.TryGetValue(descr.Groups["type"].Value, out ElementType? type))
            throw new QuantException(ErrorIds.UnsupportedDType, $"'{label}' holds neither numbers nor booleans: {header} Save it as float32.", label);
        int[] shape;
        try
        {
            shape = [.. shapeText.Groups["dims"].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(d => int.Parse(d.TrimEnd('L')))];
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw file.NotA(".npy", $"its shape is ({shapeText.Groups["dims"].Value}).", e);
        }
        StreamSource source = new(label, shape, SourceKind.Array, stream, type, descr.Groups["order"].Value == ">", name);
        if (fortran.Groups["value"].Value == "False" || shape.Length < 2)
            return source;
        using (source)
        {
            float[] columns = new float[TensorShape.Count(shape)];
            source.Read(columns, CancellationToken.None);
            return new MemorySource(label, shape, SourceKind.Array, ToRowMajor(columns, shape), name);
        }
    }

    /// <summary>First dimension contiguous to last dimension contiguous.</summary>
    private static float[] ToRowMajor(float[] columns, int[] shape)
    {
        float[] rows = new float[columns.Length];
        int[] index = new int[shape.Length];
        foreach (float value in columns)
        {
            rows[TensorShape.Offset(shape, index)] = value;
            for (int d = 0; d < shape.Length && ++index[d] == shape[d]; d++)
                index[d] = 0;
        }
        return rows;
    }

    /// <inheritdoc/>
    public override void Write(Stream stream, Tensor tensor)
    {
        WriteHeader(stream, "<f4", tensor.Dims);
        byte[] buffer = new byte[4 * Math.Min(tensor.Length, 1 << 14)];
        for (int start = 0; start < tensor.Length; start += buffer.Length / 4)
        {
            ReadOnlySpan<float> part = tensor.Span[start..Math.Min(tensor.Length, start + buffer.Length / 4)];
            for (int i = 0; i < part.Length; i++)
                BinaryPrimitives.WriteSingleLittleEndian(buffer.AsSpan(4 * i), part[i]);
            stream.Write(buffer, 0, 4 * part.Length);
        }
    }

    /// <inheritdoc/>
    public override void Write(Stream stream, QuantizedTensor tensor)
    {
        string descr = tensor.DType switch
        {
            QDType.QUInt8 or QDType.QUInt4 => "|u1",
            QDType.QInt8 or QDType.QInt4 => "|i1",
            QDType.QInt16 => "<i2",
            QDType.QUInt16 => "<u2",
            _ => "<i4",
        };
        WriteHeader(stream, descr, tensor.Dims);
        // NumPy has no 4-bit type: a byte each.
        stream.Write(tensor.IntRepr() switch { byte[] b => b, sbyte[] s => MemoryMarshal.AsBytes<sbyte>(s), _ => tensor.Bytes });
    }

    /// <summary>Version 1.0; the header ends in a newline and is padded so that the data begins at a multiple of 64.</summary>
    private static void WriteHeader(Stream stream, string descr, ReadOnlySpan<int> shape)
    {
        string dims = shape.Length == 1 ? $"{shape[0]}," : TensorShape.Format(shape);
        string header = $"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}";
        int before = Magic.Length + 2 + 2;
        int total = (before + header.Length + 1 + WriteAlignment - 1) / WriteAlignment * WriteAlignment;
        header = header.PadRight(total - before - 1) + "\n";
        stream.Write(Magic);
        stream.Write([1, 0, (byte)header.Length, (byte)(header.Length >> 8)]);
        stream.Write(Encoding.Latin1.GetBytes(header));
    }

    [GeneratedRegex(@"['""]descr['""]\s*:\s*['""](?<order>[<>|=]?)(?<type>[a-zA-Z]\d+)['""]")]
    private static partial Regex Descr();

    [GeneratedRegex(@"['""]fortran_order['""]\s*:\s*(?<value>True|False)")]
    private static partial Regex FortranOrder();

    [GeneratedRegex(@"['""]shape['""]\s*:\s*\((?<dims>[\d\sL,]*)\)")]
    private static partial Regex ShapePattern();
}
