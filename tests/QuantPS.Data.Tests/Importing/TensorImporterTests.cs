using System.Runtime.InteropServices;
using QuantPS.Data.Importing;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Tests.Importing;

public sealed class TensorImporterTests : IDisposable
{
    private readonly Folder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Normalization_is_three_float_operations_in_order()
    {
        string file = folder.File("g.png", Folder.Png(3, 1, 0, [0, 100, 255]));
        Tensor t = Assert.Single(Folder.Import(new ImportOptions { Scale = 255, Mean = [0.286f], Std = [0.353f] }, file));
        Assert.Equal([(0f / 255 - 0.286f) / 0.353f, (100f / 255 - 0.286f) / 0.353f, (255f / 255 - 0.286f) / 0.353f], t.ToArray());
    }

    [Fact]
    public void Mean_and_std_per_channel_in_both_layouts()
    {
        string file = folder.File("c.png", Folder.Png(2, 1, 2, [10, 20, 30, 40, 50, 60]));
        ImportOptions options = new() { Mean = [1, 2, 3], Std = [1, 2, 4] };
        Assert.Equal([9f, 39, 9, 24, 6.75f, 14.25f], Assert.Single(Folder.Import(options, file)).ToArray());
        Tensor nhwc = Assert.Single(Folder.Import(options with { ChannelsLast = true }, file));
        Assert.Equal([1, 1, 2, 3], nhwc.Shape);
        Assert.Equal([9f, 9, 6.75f, 39, 24, 14.25f], nhwc.ToArray());
        // An array is taken to be in the layout already.
        string array = folder.File("a.npy", Folder.Npy("|u1", "(1, 1, 2, 3)", [10, 20, 30, 40, 50, 60]));
        Assert.Equal(nhwc.ToArray(), Assert.Single(Folder.Import(options with { ChannelsLast = true }, array)).ToArray());
        string grey = folder.File("g.png", Folder.Png(1, 1, 0, [0]));
        Assert.Contains("1 channels", Folder.Fails(ErrorIds.ShapeMismatch, grey, options).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Batches_reach_across_files_and_the_last_may_be_smaller()
    {
        string[] files = [.. Enumerable.Range(0, 5).Select(i => folder.File($"{i}.png", Folder.Png(1, 1, 0, [(byte)i])))];
        Tensor[] batches = Folder.Import(new ImportOptions { BatchSize = 2 }, files);
        Assert.Equal([2, 2, 1], batches.Select(b => b.Shape[0]));
        Assert.Equal([0f, 1, 2, 3, 4], batches.SelectMany(b => b.ToArray()));
        Assert.Equal(files[0] + "..1.png", batches[0].Source);
        Assert.Equal(files[4], batches[2].Source);
    }

    [Fact]
    public void An_image_of_another_size_does_not_spoil_its_batch()
    {
        string a = folder.File("a.png", Folder.Png(1, 1, 0, [1])), odd = folder.File("odd.png", Folder.Png(2, 1, 0, [9, 9])), c = folder.File("c.png", Folder.Png(1, 1, 0, [3]));
        TensorImporter importer = new(new ImportOptions { BatchSize = 2 });
        Assert.Empty(importer.Read(a));
        QuantException e = Assert.Throws<QuantException>(() => importer.Read(odd).ToArray());
        Assert.Equal((ErrorIds.ShapeMismatch, odd), (e.ErrorId, e.Target));
        Assert.Contains("[1, 1, 2]", e.Message, StringComparison.Ordinal);
        Assert.Contains("[1, 1, 1]", e.Message, StringComparison.Ordinal);
        Assert.Equal([1f, 3], Assert.Single(importer.Read(c)).ToArray());
        Assert.Equal([2, 1, 1, 1], Assert.Single(Folder.Import(new ImportOptions { BatchSize = 2, Resize = [1, 1] }, a, odd)).Shape);
    }

    [Fact]
    public void First_and_skip_count_samples()
    {
        string idx = folder.File("i-ubyte", Folder.Idx(8, [10, 1, 1], [.. Enumerable.Range(0, 10).Select(i => (byte)i)]));
        Assert.Equal([2f, 3, 4], Folder.Import(new ImportOptions { Skip = 2, First = 3 }, idx).Select(t => t[0, 0, 0, 0]));
        Tensor[] batches = Folder.Import(new ImportOptions { Skip = 1, First = 7, BatchSize = 4 }, idx);
        Assert.Equal([idx + "#1..4", idx + "#5..7"], batches.Select(b => b.Source));
        Assert.Equal([1f, 2, 3, 4, 5, 6, 7], batches.SelectMany(b => b.ToArray()));
        // Across files: the second begins where the first ended.
        Assert.Equal([8f, 9, 0, 1], Folder.Import(new ImportOptions { Skip = 8, First = 4 }, idx, idx).Select(t => t[0, 0, 0, 0]));
        Assert.Equal([9f, 0, 1], Assert.Single(Folder.Import(new ImportOptions { Skip = 9, First = 3, BatchSize = 3 }, idx, idx)).ToArray());
        Assert.Empty(Folder.Import(new ImportOptions { First = 0 }, idx));
        Assert.Empty(Folder.Import(new ImportOptions { Skip = 20 }, idx));
    }

    [Fact]
    public void Labels_are_one_tensor_of_the_samples_asked_for()
    {
        string labels = folder.File("l-ubyte", Folder.Idx(8, [5], [5, 6, 7, 8, 9]));
        Assert.Equal([5f, 6, 7, 8, 9], Folder.ImportOne(labels).ToArray());
        Assert.Equal([6f, 7], Assert.Single(Folder.Import(new ImportOptions { Skip = 1, First = 2 }, labels)).ToArray());
        Assert.Equal([2, 2, 1], Folder.Import(new ImportOptions { BatchSize = 2 }, labels).Select(t => t.Length));
    }

    [Fact]
    public void An_array_is_one_tensor_unless_batches_are_asked_for()
    {
        string array = folder.File("a.npy", Folder.Npy("<f4", "(5, 2)", MemoryMarshal.AsBytes(Enumerable.Range(0, 10).Select(i => (float)i).ToArray().AsSpan()).ToArray()));
        Assert.Equal([5, 2], Folder.ImportOne(array).Shape);
        Assert.Equal([2, 2, 1], Folder.Import(new ImportOptions { BatchSize = 2 }, array).Select(t => t.Shape[0]));
        Assert.Equal([2f, 3], Assert.Single(Folder.Import(new ImportOptions { BatchSize = 2, Skip = 1, First = 1 }, array)).ToArray());
    }

    [Fact]
    public void Options_that_make_no_sense()
    {
        foreach (ImportOptions bad in new ImportOptions[] { new() { Scale = 0 }, new() { Std = [0] }, new() { Mean = [] }, new() { Resize = [0, 2] }, new() { BatchSize = 0 }, new() { First = -1 } })
            Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => new TensorImporter(bad)).ErrorId);
    }

    [Fact]
    public void Enlarging_is_plain_bilinear_interpolation()
    {
        // The example in the documentation of torch.nn.Upsample(scale_factor=2, mode="bilinear"), align_corners=False.
        float[] y = Resizing.Bilinear([1, 2, 3, 4], 1, 2, 2, 1, 4, 4);
        Assert.Equal([1, 1.25f, 1.75f, 2, 1.5f, 1.75f, 2.25f, 2.5f, 2.5f, 2.75f, 3.25f, 3.5f, 3, 3.25f, 3.75f, 4], y);
    }

    [Fact]
    public void Shrinking_weighs_every_pixel_by_a_triangle()
    {
        // Factor 2, support 2: for output 0 the pixels' centres lie -0.5, 0.5, 1.5 from the centre (1.0): weights .75, .75, .25 over 1.75.
        float[] y = Resizing.Bilinear([7, 14, 28, 56], 1, 1, 4, 1, 1, 2);
        Assert.Equal((0.75 * 7 + 0.75 * 14 + 0.25 * 28) / 1.75, y[0], 1e-5);
        Assert.Equal((0.25 * 14 + 0.75 * 28 + 0.75 * 56) / 1.75, y[1], 1e-5);
        // A constant image stays what it is, channels stay apart, in both layouts.
        Assert.All(Resizing.Bilinear(Enumerable.Repeat(3f, 70).ToArray(), 1, 7, 10, 1, 3, 4), v => Assert.Equal(3f, v, 1e-6f));
        Assert.Equal([1f, 5f], Resizing.Bilinear([1, 5, 1, 5, 1, 5, 1, 5], 1, 2, 2, 2, 1, 1));
    }
}
