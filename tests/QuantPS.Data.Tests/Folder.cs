using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using QuantPS.Data.Importing;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Tests;

/// <summary>A folder for one test's files, and files made byte by byte after the formats' own specifications.</summary>
public sealed class Folder : IDisposable
{
    private readonly string path = Directory.CreateTempSubdirectory("quantps-data-").FullName;

    public string File(string name, byte[] content)
    {
        string file = Path.Combine(path, name);
        System.IO.File.WriteAllBytes(file, content);
        return file;
    }

    public string Text(string name, string content) => File(name, Encoding.UTF8.GetBytes(content));

    public string Name(string name) => Path.Combine(path, name);

    public void Dispose() => Directory.Delete(path, true);

    public static Tensor[] Import(ImportOptions options, params string[] files)
    {
        TensorImporter importer = new(options);
        List<Tensor> tensors = [.. files.SelectMany(f => importer.Read(f))];
        if (importer.Flush() is Tensor rest)
            tensors.Add(rest);
        return [.. tensors];
    }

    public static Tensor ImportOne(string file) => Assert.Single(Import(new ImportOptions(), file));

    public static QuantException Fails(string errorId, string file, ImportOptions? options = null)
    {
        QuantException e = Assert.Throws<QuantException>(() => Import(options ?? new ImportOptions(), file));
        Assert.Equal(errorId, e.ErrorId);
        Assert.Contains(Path.GetFileName(file), e.Message, StringComparison.Ordinal);
        return e;
    }

    /// <summary>Magic, version, length, the header padded to 64 with a newline at the end, data. NEP 1.</summary>
    public static byte[] Npy(string descr, string shape, byte[] data, bool fortran = false, int version = 1)
    {
        string header = $"{{'descr': '{descr}', 'fortran_order': {(fortran ? "True" : "False")}, 'shape': {shape}, }}";
        int before = version == 1 ? 10 : 12;
        header = header.PadRight((before + header.Length + 64) / 64 * 64 - before - 1) + "\n";
        byte[] size = version == 1 ? [(byte)header.Length, (byte)(header.Length >> 8)] : BitConverter.GetBytes(header.Length);
        return [0x93, .. "NUMPY"u8, (byte)version, 0, .. size, .. Encoding.Latin1.GetBytes(header), .. data];
    }

    public static byte[] Idx(byte type, int[] dims, byte[] data)
    {
        List<byte> bytes = [0, 0, type, (byte)dims.Length];
        foreach (int d in dims)
        {
            byte[] big = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(big, d);
            bytes.AddRange(big);
        }
        return [.. bytes, .. data];
    }

    public static byte[] Gzip(byte[] content)
    {
        MemoryStream compressed = new();
        using (GZipStream gzip = new(compressed, CompressionLevel.Fastest))
            gzip.Write(content);
        return compressed.ToArray();
    }

    /// <summary>A PNG of 8-bit samples without filters: color type 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA. PNG specification, 5 and 11.</summary>
    public static byte[] Png(int width, int height, byte colorType, byte[] pixels)
    {
        int stride = pixels.Length / height;
        MemoryStream data = new();
        using (ZLibStream z = new(data, CompressionLevel.Fastest, true))
        {
            for (int y = 0; y < height; y++)
            {
                z.WriteByte(0);
                z.Write(pixels, y * stride, stride);
            }
        }
        return [0x89, .. "PNG\r\n"u8, 0x1A, 0x0A, .. Chunk("IHDR", [0, 0, 0, (byte)width, 0, 0, 0, (byte)height, 8, colorType, 0, 0, 0]), .. Chunk("IDAT", data.ToArray()), .. Chunk("IEND", [])];
    }

    /// <summary>A baseline JPEG, 8 x 8, one component, of one grey level: quantizer 8 throughout, so that the DC coefficient is level - 128 =
    /// 72, category 7, bits 1001000; one code each in the Huffman tables. ITU-T T.81, annex B and F.</summary>
    public static byte[] GreyJpeg200() =>
    [
        0xFF, 0xD8,
        0xFF, 0xDB, 0, 67, 0, .. Enumerable.Repeat((byte)8, 64),
        0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0,
        0xFF, 0xC4, 0, 20, 0x00, 1, .. new byte[15], 7,
        0xFF, 0xC4, 0, 20, 0x10, 1, .. new byte[15], 0,
        0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0,
        0b0100_1000, 0b0111_1111,
        0xFF, 0xD9,
    ];

    private static byte[] Chunk(string type, byte[] data)
    {
        byte[] typed = [.. Encoding.ASCII.GetBytes(type), .. data];
        uint crc = 0xFFFFFFFF;
        foreach (byte b in typed)
        {
            crc ^= b;
            for (int k = 0; k < 8; k++)
                crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
        }
        byte[] length = new byte[4], sum = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, data.Length);
        BinaryPrimitives.WriteUInt32BigEndian(sum, ~crc);
        return [.. length, .. typed, .. sum];
    }
}
