using System.Runtime.InteropServices;
using System.Text;
using QuantPS.Data.Formats;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Tests.Formats;

public sealed class NpyFormatTests : IDisposable
{
    private readonly Folder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, byte[], float[]> EveryType()
    {
        float[] small = [1, 0, 3];
        float[] signed = [-2, 0, 100];
        return new()
        {
            { "|b1", [1, 0, 1], [1, 0, 1] },
            { "|u1", [1, 0, 255], [1, 0, 255] },
            { "|i1", [0xFE, 0, 100], signed },
            { "<u2", Bytes<ushort>([1, 0, 65535]), [1, 0, 65535] },
            { ">u2", Swapped<ushort>([1, 0, 65535], 2), [1, 0, 65535] },
            { "<i2", Bytes<short>([-2, 0, 100]), signed },
            { ">i2", Swapped<short>([-2, 0, 100], 2), signed },
            { "<u4", Bytes<uint>([1, 0, 3]), small },
            { ">u4", Swapped<uint>([1, 0, 3], 4), small },
            { "<i4", Bytes<int>([-2, 0, 100]), signed },
            { ">i4", Swapped<int>([-2, 0, 100], 4), signed },
            { "<u8", Bytes<ulong>([1, 0, 3]), small },
            { "<i8", Bytes<long>([-2, 0, 100]), signed },
            { ">i8", Swapped<long>([-2, 0, 100], 8), signed },
            { "<f2", Bytes<Half>([(Half)(-1.5), (Half)0, (Half)2]), [-1.5f, 0, 2] },
            { ">f2", Swapped<Half>([(Half)(-1.5), (Half)0, (Half)2], 2), [-1.5f, 0, 2] },
            { "<f4", Bytes<float>([-1.5f, 0, 0.1f]), [-1.5f, 0, 0.1f] },
            { ">f4", Swapped<float>([-1.5f, 0, 0.1f], 4), [-1.5f, 0, 0.1f] },
            { "=f4", Bytes<float>([-1.5f, 0, 0.1f]), [-1.5f, 0, 0.1f] },
            { "<f8", Bytes<double>([-1.5, 0, 0.1]), [-1.5f, 0, 0.1f] },
            { ">f8", Swapped<double>([-1.5, 0, 0.1], 8), [-1.5f, 0, 0.1f] },
        };
    }

    [Theory]
    [MemberData(nameof(EveryType))]
    public void Every_number_type_in_both_byte_orders(string descr, byte[] data, float[] expected)
    {
        Tensor t = Folder.ImportOne(folder.File("a.npy", Folder.Npy(descr, "(3,)", data)));
        Assert.Equal([3], t.Shape);
        Assert.Equal(expected, t.ToArray());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Versions_one_to_three(int version)
    {
        Tensor t = Folder.ImportOne(folder.File("a.npy", Folder.Npy("<f4", "(2, 1)", Bytes<float>([1, 2]), version: version)));
        Assert.Equal([2, 1], t.Shape);
        Assert.Equal([1f, 2f], t.ToArray());
    }

    [Fact]
    public void Fortran_order_becomes_row_major()
    {
        // a[i, j, k] = 100 i + 10 j + k, first index fastest.
        float[] data = [.. from k in Enumerable.Range(0, 4) from j in Enumerable.Range(0, 3) from i in Enumerable.Range(0, 2) select 100f * i + 10 * j + k];
        Tensor t = Folder.ImportOne(folder.File("a.npy", Folder.Npy("<f4", "(2, 3, 4)", Bytes<float>(data), fortran: true)));
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 3; j++)
                for (int k = 0; k < 4; k++)
                    Assert.Equal(100f * i + 10 * j + k, t[i, j, k]);
    }

    [Fact]
    public void A_scalar_and_an_empty_array()
    {
        Tensor scalar = Folder.ImportOne(folder.File("s.npy", Folder.Npy("<f4", "()", Bytes<float>([7]))));
        Assert.Empty(scalar.Shape);
        Assert.Equal([7f], scalar.ToArray());
        Assert.Equal([0, 3], Folder.ImportOne(folder.File("e.npy", Folder.Npy("<f4", "(0, 3)", []))).Shape);
    }

    [Fact]
    public void Content_tells_even_when_the_name_lies_and_when_it_is_compressed()
    {
        byte[] npy = Folder.Npy("<f4", "(1,)", Bytes<float>([5]));
        Assert.Equal(5f, Folder.ImportOne(folder.File("picture.png", npy))[0]);
        Assert.Equal(5f, Folder.ImportOne(folder.File("a.npy.gz", Folder.Gzip(npy)))[0]);
    }

    [Fact]
    public void Errors_name_the_file_and_what_was_expected()
    {
        byte[] good = Folder.Npy("<f4", "(4,)", Bytes<float>([1, 2, 3, 4]));
        QuantException cut = Folder.Fails(ErrorIds.FileTruncated, folder.File("cut.npy", good[..^3]));
        Assert.Contains("4 elements of float32", cut.Message, StringComparison.Ordinal);
        Folder.Fails(ErrorIds.FileTruncated, folder.File("head.npy", good[..40]));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("empty.npy", []));
        Folder.Fails(ErrorIds.FileTruncated, folder.File("cut.npy.gz", Folder.Gzip(Folder.Npy("<f4", "(4,)", Bytes<float>([1, 2, 3, 4])))[..^12]));
        Folder.Fails(ErrorIds.FileFormat, folder.Text("text.npy", "these are not numbers at all"));
        Folder.Fails(ErrorIds.FileFormat, folder.File("v9.npy", Folder.Npy("<f4", "(1,)", Bytes<float>([1]), version: 9)));
        Folder.Fails(ErrorIds.UnsupportedDType, folder.File("complex.npy", Folder.Npy("<c8", "(1,)", new byte[8])));
        Folder.Fails(ErrorIds.UnsupportedDType, folder.File("text.npy", Folder.Npy("<U3", "(1,)", new byte[12])));
        // A header that claims far more than there is must not be believed.
        Folder.Fails(ErrorIds.FileTruncated, folder.File("huge.npy", Folder.Npy("<f4", "(1000000, 2000)", new byte[16])));
        Folder.Fails(ErrorIds.FileFormat, folder.File("overflow.npy", Folder.Npy("<f4", "(99999999999,)", new byte[16])));
    }

    [Fact]
    public void What_is_written_is_what_numpy_writes()
    {
        MemoryStream stream = new();
        new NpyFormat().Write(stream, new Tensor([1, 3], new float[] { 1, -2, 0.5f }));
        byte[] bytes = stream.ToArray();
        // np.save of a float32 array of this shape begins so; 'v' is 118, the header's length.
        Assert.Equal([0x93, .. "NUMPY"u8, 1, 0, (byte)'v', 0], bytes[..10]);
        Assert.StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), } ", Encoding.Latin1.GetString(bytes, 10, 118), StringComparison.Ordinal);
        Assert.Equal((byte)'\n', bytes[127]);
        Assert.Equal(Bytes<float>([1, -2, 0.5f]), bytes[128..]);
    }

    [Theory]
    [InlineData(QDType.QUInt8, "|u1", new byte[] { 1, 0, 200 })]
    [InlineData(QDType.QInt8, "|i1", new byte[] { 1, 0, 200 })]
    [InlineData(QDType.QInt32, "<i4", new byte[] { 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255 })]
    public void Quantized_tensors_are_written_as_their_integers(QDType dtype, string descr, byte[] bytes)
    {
        MemoryStream stream = new();
        new NpyFormat().Write(stream, new QuantizedTensor([3], bytes, new QParams(1, 0, dtype)));
        Assert.Contains($"'{descr}'", Encoding.Latin1.GetString(stream.ToArray(), 10, 60), StringComparison.Ordinal);
        Assert.Contains("(3,)", Encoding.Latin1.GetString(stream.ToArray(), 10, 70), StringComparison.Ordinal);
        Assert.Equal(bytes, stream.ToArray()[^bytes.Length..]);
    }

    [Fact]
    public void Round_trip_of_more_than_a_buffer()
    {
        Random random = new(1);
        Tensor t = new(5, 7, 1111);
        foreach (ref float v in t.Span)
            v = random.NextSingle();
        string file = folder.Name("big.npy");
        using (FileStream stream = File.Create(file))
            TensorFormats.Writer(file).Write(stream, t);
        Tensor back = Folder.ImportOne(file);
        Assert.Equal(t.Shape, back.Shape);
        Assert.Equal(t.ToArray(), back.ToArray());
    }

    private static byte[] Bytes<T>(T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private static byte[] Swapped<T>(T[] values, int size) where T : unmanaged => [.. Bytes(values).Chunk(size).SelectMany(c => c.Reverse())];
}
