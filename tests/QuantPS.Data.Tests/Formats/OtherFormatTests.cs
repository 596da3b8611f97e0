using System.IO.Compression;
using System.Text;
using QuantPS.Data.Formats;
using QuantPS.Data.Importing;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Tests.Formats;

/// <summary>.npz, idx, .png, .jpg, .csv, .safetensors, .pb.</summary>
public sealed class OtherFormatTests : IDisposable
{
    private readonly Folder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Npz_gives_a_tensor_a_key()
    {
        string file = folder.Name("a.npz");
        using (ZipArchive zip = ZipFile.Open(file, ZipArchiveMode.Create))
        {
            foreach ((string key, float value) in new[] { ("x", 1f), ("arr/y", 2f) })
            {
                using Stream entry = zip.CreateEntry(key + ".npy", CompressionLevel.Fastest).Open();
                entry.Write(Folder.Npy("<f4", "(1,)", BitConverter.GetBytes(value)));
            }
        }
        Tensor[] tensors = Folder.Import(new ImportOptions(), file);
        Assert.Equal(["x", "arr/y"], tensors.Select(t => t.Name));
        Assert.Equal([1f, 2f], tensors.Select(t => t[0]));
        Assert.Equal(file + "#arr/y", tensors[1].Source);
        byte[] bytes = File.ReadAllBytes(file);
        Folder.Fails(ErrorIds.FileFormat, folder.File("cut.npz", bytes[..(bytes.Length / 2)]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Idx_images_are_a_tensor_each(bool compressed)
    {
        byte[] idx = Folder.Idx(8, [3, 2, 2], [.. Enumerable.Range(0, 12).Select(i => (byte)(i * 20))]);
        string file = folder.File("images-idx3-ubyte" + (compressed ? ".gz" : ""), compressed ? Folder.Gzip(idx) : idx);
        Tensor[] all = Folder.Import(new ImportOptions(), file);
        Assert.Equal(3, all.Length);
        Assert.All(all, t => Assert.Equal([1, 1, 2, 2], t.Shape));
        Assert.Equal([80f, 100, 120, 140], all[1].ToArray());
        Assert.Equal(file + "#1", all[1].Source);
    }

    [Theory]
    [InlineData(0x08, new byte[] { 200, 1 }, new float[] { 200, 1 })]
    [InlineData(0x09, new byte[] { 0xFF, 1 }, new float[] { -1, 1 })]
    [InlineData(0x0B, new byte[] { 0xFF, 0xFE, 1, 0 }, new float[] { -2, 256 })]
    [InlineData(0x0C, new byte[] { 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 1, 0 }, new float[] { -2, 256 })]
    [InlineData(0x0D, new byte[] { 0x3F, 0x80, 0, 0, 0xC0, 0, 0, 0 }, new float[] { 1, -2 })]
    [InlineData(0x0E, new byte[] { 0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0 }, new float[] { 1, -2 })]
    public void Idx_of_every_type_and_labels_are_one_tensor(byte type, byte[] data, float[] expected)
    {
        Tensor t = Folder.ImportOne(folder.File("l.idx", Folder.Idx(type, [2], data)));
        Assert.Equal([2], t.Shape);
        Assert.Equal(expected, t.ToArray());
    }

    [Fact]
    public void Idx_damage()
    {
        byte[] good = Folder.Idx(8, [4, 2, 2], new byte[16]);
        QuantException cut = Folder.Fails(ErrorIds.FileTruncated, folder.File("cut-ubyte", good[..^1]));
        Assert.Contains("16 elements of uint8", cut.Message, StringComparison.Ordinal);
        Folder.Fails(ErrorIds.FileTruncated, folder.File("head-ubyte", good[..10]));
        Folder.Fails(ErrorIds.FileFormat, folder.File("type-ubyte", [0, 0, 7, 1, 0, 0, 0, 0]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("gzcut-ubyte.gz", Folder.Gzip(Folder.Idx(8, [100, 28, 28], RandomBytes(78400)))[..40000]));
    }

    [Fact]
    public void Of_a_compressed_idx_no_more_is_read_than_is_wanted()
    {
        // Behind the tenth image the file is cut off: whoever reads on, fails.
        byte[] whole = Folder.Gzip(Folder.Idx(8, [1000, 28, 28], RandomBytes(784000)));
        string file = folder.File("i-ubyte.gz", whole[..100000]);
        Assert.Equal(10, Folder.Import(new ImportOptions { First = 10 }, file).Length);
        Folder.Fails(ErrorIds.FileTruncated, file);
    }

    [Fact]
    public void Png_of_every_color_type()
    {
        Tensor grey = Folder.ImportOne(folder.File("g.png", Folder.Png(2, 1, 0, [10, 20])));
        Assert.Equal([1, 1, 1, 2], grey.Shape);
        Assert.Equal([10f, 20], grey.ToArray());
        Tensor rgb = Folder.ImportOne(folder.File("c.png", Folder.Png(2, 1, 2, [1, 2, 3, 4, 5, 6])));
        Assert.Equal([1, 3, 1, 2], rgb.Shape);
        Assert.Equal([1f, 4, 2, 5, 3, 6], rgb.ToArray());
        Assert.Equal([1f, 4, 2, 5, 3, 6], Folder.ImportOne(folder.File("a.png", Folder.Png(2, 1, 6, [1, 2, 3, 99, 4, 5, 6, 0]))).ToArray());
        Assert.Equal([10f, 20], Folder.ImportOne(folder.File("ga.png", Folder.Png(2, 1, 4, [10, 99, 20, 0]))).ToArray());
    }

    [Fact]
    public void Greyscale_weighs_as_pillow_does()
    {
        // Pillow: Image.new("RGB", ...).convert("L") gives 76, 150 (149.685 + 0.5), 29 and 255 for the primaries and white.
        string file = folder.File("c.png", Folder.Png(4, 1, 2, [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]));
        Tensor t = Assert.Single(Folder.Import(new ImportOptions { Grayscale = true }, file));
        Assert.Equal([1, 1, 1, 4], t.Shape);
        Assert.Equal([76f, 150, 29, 255], t.ToArray());
    }

    [Fact]
    public void Jpeg()
    {
        Tensor t = Folder.ImportOne(folder.File("g.jpg", Folder.GreyJpeg200()));
        Assert.Equal([1, 1, 8, 8], t.Shape);
        Assert.All(t.ToArray(), v => Assert.Equal(200f, v));
    }

    [Fact]
    public void Damaged_images()
    {
        byte[] png = Folder.Png(2, 2, 0, [1, 2, 3, 4]), jpg = Folder.GreyJpeg200();
        Folder.Fails(ErrorIds.FileTruncated, folder.File("cut.png", png[..^6]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("short.png", png[..20]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("cut.jpg", jpg[..^2]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("short.jpg", jpg[..50]));
        Folder.Fails(ErrorIds.FileFormat, folder.Text("text.png", "not a picture"));
        Folder.Fails(ErrorIds.FileFormat, folder.Text("text.jpg", "not a picture"));
    }

    [Fact]
    public void Csv()
    {
        Tensor t = Folder.ImportOne(folder.Text("a.csv", "# remark\nx,y,z\n1, -2.5 ,3e2\n\n4,\"5\",6\n"));
        Assert.Equal([2, 3], t.Shape);
        Assert.Equal([1f, -2.5f, 300, 4, 5, 6], t.ToArray());
        Assert.Equal([1f, 2, 3, 4], Folder.ImportOne(folder.Text("b.csv", "1;2\r\n3;4\r\n")).ToArray());
        Assert.Equal([2, 2], Folder.ImportOne(folder.Text("c.tsv", "1\t2\n3\t4")).Shape);
        Assert.Equal([2, 2], Folder.ImportOne(folder.Text("d.csv", " 1  2\n3 4\n")).Shape);
        Assert.Contains("line 2", Folder.Fails(ErrorIds.FileFormat, folder.Text("ragged.csv", "1,2\n3\n")).Message, StringComparison.Ordinal);
        Assert.Contains("'two' in line 2", Folder.Fails(ErrorIds.FileFormat, folder.Text("word.csv", "1,2\n1,two\n")).Message, StringComparison.Ordinal);
        Folder.Fails(ErrorIds.FileFormat, folder.Text("nothing.csv", "\n\n"));
    }

    [Fact]
    public void Safetensors()
    {
        byte[] data = [.. BitConverter.GetBytes(1.5f), .. BitConverter.GetBytes(-2f), 0x80, 0x3F, 0x00, 0xC0, .. BitConverter.GetBytes((Half)0.5), 7, .. BitConverter.GetBytes(-9L)];
        string header = """{"__metadata__":{"a":"b"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"h":{"dtype":"F16","shape":[],"data_offsets":[12,14]},"u":{"dtype":"U8","shape":[1],"data_offsets":[14,15]},"i":{"dtype":"I64","shape":[1],"data_offsets":[15,23]}}""";
        byte[] bytes = [.. BitConverter.GetBytes((ulong)header.Length), .. Encoding.UTF8.GetBytes(header), .. data];
        Tensor[] all = Folder.Import(new ImportOptions(), folder.File("m.safetensors", bytes));
        Assert.Equal(["w", "b", "h", "u", "i"], all.Select(t => t.Name));
        Assert.Equal([1.5f, -2], all[0].ToArray());
        Assert.Equal([1, 2], all[0].Shape);
        Assert.Equal([1f, -2], all[1].ToArray());
        Assert.Equal([0.5f], all[2].ToArray());
        Assert.Equal([7f], all[3].ToArray());
        Assert.Equal([-9f], all[4].ToArray());
        Folder.Fails(ErrorIds.FileTruncated, folder.File("cut.safetensors", bytes[..^1]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("head.safetensors", bytes[..50]));
        Folder.Fails(ErrorIds.FileFormat, folder.Text("text.safetensors", "not tensors, whatever it is called"));
        string wrong = """{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""";
        Folder.Fails(ErrorIds.FileFormat, folder.File("sizes.safetensors", [.. BitConverter.GetBytes((ulong)wrong.Length), .. Encoding.UTF8.GetBytes(wrong), .. new byte[12]]));
    }

    /// <summary>Bytes of TensorProto messages as onnx.helper.make_tensor and numpy_helper.from_array (onnx 1.12) write them.</summary>
    [Theory]
    [InlineData("080210014a080000c03f000000c0420178", new[] { 2 }, new[] { 1.5f, -2 }, "x")]
    [InlineData("080210012208" + "0000c03f000000c0", new[] { 2 }, new[] { 1.5f, -2 }, null)]
    [InlineData("10074a08f7ffffffffffffff", new int[0], new[] { -9f }, null)]
    [InlineData("080108021007" + "3a0b" + "01" + "f7ffffffffffffffff01", new[] { 1, 2 }, new[] { 1f, -9 }, null)]
    [InlineData("08021007" + "3801" + "38f7ffffffffffffffff01", new[] { 2 }, new[] { 1f, -9 }, null)]
    [InlineData("0a0201021009" + "4a020100", new[] { 1, 2 }, new[] { 1f, 0 }, null)]
    [InlineData("0801100a" + "2a0380" + "f001", new[] { 1 }, new[] { 32768f }, null)]
    [InlineData("08011010" + "4a02803f", new[] { 1 }, new[] { 1f }, null)]
    [InlineData("0801100b" + "5208000000000000e03f", new[] { 1 }, new[] { 0.5f }, null)]
    [InlineData("0801100d" + "5a0103", new[] { 1 }, new[] { 3f }, null)]
    [InlineData("08031016" + "4a02f108", new[] { 3 }, new[] { 1f, -1, -8 }, null)]
    [InlineData("08031015" + "4a02f108", new[] { 3 }, new[] { 1f, 15, 8 }, null)]
    public void TensorProto(string hex, int[] shape, float[] values, string? name)
    {
        Tensor t = Folder.ImportOne(folder.File("t.pb", Convert.FromHexString(hex)));
        Assert.Equal(shape, t.Shape);
        Assert.Equal(values, t.ToArray());
        Assert.Equal(name, t.Name);
    }

    [Theory]
    [InlineData("080210014a040000c03f", ErrorIds.FileTruncated, "takes 8")]
    [InlineData("080210014a080000c03f", ErrorIds.FileTruncated, "cut off")]
    [InlineData("080110014a080000c03f000000c0", ErrorIds.FileFormat, "takes 4")]
    [InlineData("0801100832026869", ErrorIds.UnsupportedDType, "type 8")]
    [InlineData("080110017001", ErrorIds.UnsupportedDType, "another file")]
    [InlineData("0a0373657110011a021001", ErrorIds.FileFormat, "list of tensors")]
    [InlineData("0b", ErrorIds.FileFormat, "no TensorProto")]
    [InlineData("080142" + "0178", ErrorIds.FileFormat, "no TensorProto")]
    public void What_is_no_TensorProto_is_refused(string hex, string id, string words) =>
        Assert.Contains(words, Folder.Fails(id, folder.File("t.pb", Convert.FromHexString(hex))).Message, StringComparison.Ordinal);

    [Fact]
    public void An_unknown_file_is_told_what_is_known()
    {
        QuantException e = Folder.Fails(ErrorIds.FileFormat, folder.Text("readme.md", "hello there, general"));
        Assert.Contains(".safetensors", e.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorIds.FileNotFound, Assert.Throws<QuantException>(() => Folder.Import(new ImportOptions(), folder.Name("no.npy"))).ErrorId);
        Assert.Equal(ErrorIds.FileFormat, Assert.Throws<QuantException>(() => TensorFormats.Writer("a.png")).ErrorId);
    }

    private static byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(5).NextBytes(bytes);
        return bytes;
    }
}
