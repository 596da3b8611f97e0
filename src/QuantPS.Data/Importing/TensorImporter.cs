using QuantPS.Data.Formats;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Importing;

/// <summary>Files to tensors: one an image or array, or batches that may reach across files.</summary>
/// <remarks>A sample is an image, a row of an idx file, or an array; with a batch size also a row (slice along the first dimension) of an
/// array. Reads no further than what is asked for: a file of 60,000 images of which 10 are wanted is read for 10. Not thread-safe.</remarks>
public sealed class TensorImporter
{
    private readonly ImportOptions options;
    private long toSkip;
    private long toTake;
    private long? total;
    private Tensor? batch;
    private int filled;
    private Place first;
    private Place last;

    /// <summary>Where rows lie: in which source, from which row to which; no rows where the source is one image or array.</summary>
    private readonly record struct Place(string Label, int? From, int? To)
    {
        public override string ToString() => From is null ? Label : From == To ? $"{Label}#{From}" : $"{Label}#{From}..{To}";
    }

    /// <exception cref="QuantException">InvalidArgument: an option makes no sense.</exception>
    public TensorImporter(ImportOptions options)
    {
        options.Check();
        this.options = options;
        toSkip = options.Skip;
        toTake = options.First;
    }

    /// <summary>True when -First is fulfilled: no further file needs to be opened.</summary>
    public bool IsComplete => toTake <= 0;

    /// <summary>How many files will be read in all, as far as the caller knows; from it and the first file follows <see cref="Tensor.SequenceLength"/>.</summary>
    public int FileCount { get; set; } = 1;

    /// <summary>The tensors of a file. An incomplete batch waits for the next file, or for <see cref="Flush"/>.</summary>
    /// <exception cref="QuantException">FileNotFound, FileUnreadable, FileFormat, FileTruncated, UnsupportedDType, ShapeMismatch.</exception>
    public IEnumerable<Tensor> Read(string path, CancellationToken cancellation = default)
    {
        using IEnumerator<Tensor> tensors = ReadCore(path, cancellation).GetEnumerator();
        while (Translate(path, tensors.MoveNext))
            yield return tensors.Current;
    }

    /// <summary>The last batch, which may be smaller; null when nothing waits.</summary>
    public Tensor? Flush()
    {
        if (batch is null || filled == 0)
            return null;
        int[] shape = batch.Shape;
        int rowLength = batch.Length / shape[0];
        shape[0] = filled;
        Tensor last = new(shape, batch.Memory[..(filled * rowLength)]) { Source = BatchSource(), SequenceLength = total };
        batch = null;
        filled = 0;
        return last;
    }

    private IEnumerable<Tensor> ReadCore(string path, CancellationToken cancellation)
    {
        if (IsComplete)
            yield break;
        foreach (TensorSource source in TensorFormats.Open(path, options.Grayscale))
        {
            using (source)
            {
                foreach (Tensor tensor in ReadSource(source, cancellation))
                    yield return tensor;
            }
            if (IsComplete)
                yield break;
        }
    }

    private IEnumerable<Tensor> ReadSource(TensorSource source, CancellationToken cancellation)
    {
        // Known for one file of many samples, or many files of one each; a mixture shows its total when it is over.
        long? samples = FileCount == 1 && source.Rows > 1 ? source.Rows : FileCount > 1 && source.Rows == 1 ? FileCount : null;
        total = samples is long n ? Math.Min(options.First, n - options.Skip) : null;
        bool byRows = source.Shape.Length > 0 && (source.Kind != SourceKind.Array || options.BatchSize is not null);
        if (!byRows)
        {
            if (toSkip > 0)
            {
                toSkip--;
                yield break;
            }
            toTake--;
            yield return ReadRows(source, source.Rows, source.Label, cancellation);
            yield break;
        }

        int row = (int)Math.Min(toSkip, source.Rows);
        source.Skip(row, cancellation);
        toSkip -= row;
        int end = (int)Math.Min(source.Rows, row + Math.Min(toTake, int.MaxValue - row));
        // Labels without a batch size are one tensor: a thousand scalars help nobody.
        int size = options.BatchSize ?? (source.Shape.Length == 1 ? end - row : 1);
        while (row < end)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(end - row, size - filled);
            bool whole = source.Shape.Length == 1 && options.BatchSize is null && count == source.Rows || (source.Kind == SourceKind.Images && source.Rows == 1);
            Place place = whole ? new Place(source.Label, null, null) : new Place(source.Label, row, row + count - 1);
            Tensor rows = ReadRows(source, count, place.ToString(), cancellation);
            Tensor? full = count == size ? rows : Append(rows, place, size);
            row += count;
            toTake -= count;
            if (full is not null)
                yield return full;
        }
    }

    /// <summary>Puts rows into the waiting batch; gives it back when it is full.</summary>
    private Tensor? Append(Tensor rows, Place place, int size)
    {
        if (batch is null)
        {
            batch = new Tensor([size, .. rows.Dims[1..]]);
            first = place;
        }
        else if (!batch.Dims[1..].SequenceEqual(rows.Dims[1..]))
        {
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"'{place}' has the shape [{TensorShape.Format(rows.Dims[1..])}], but the batch that began with '{first}' has [{TensorShape.Format(batch.Dims[1..])}]. Use -Resize to bring images to one size, or no -BatchSize.",
                place.Label);
        }
        rows.Span.CopyTo(batch.Span[(filled * (batch.Length / size))..]);
        filled += rows.Dims[0];
        last = place;
        if (filled < size)
            return null;
        Tensor full = new(batch.Shape, batch.Memory) { Source = BatchSource(), SequenceLength = total };
        batch = null;
        filled = 0;
        return full;
    }

    /// <summary>path#0..31 within one source, first.png..last.png across files.</summary>
    private string BatchSource() => first.Label == last.Label
        ? new Place(first.Label, first.From, last.To).ToString()
        : $"{(first with { To = first.From })}..{last with { Label = Path.GetFileName(last.Label), From = last.To }}";

    private Tensor ReadRows(TensorSource source, int count, string label, CancellationToken cancellation)
    {
        int[] shape = (int[])source.Shape.Clone();
        if (shape.Length > 0)
            shape[0] = count;
        Tensor raw = new(shape);
        source.Read(raw.Span, cancellation);
        bool image = source.Kind == SourceKind.Images;
        // An image is decoded as N, C, H, W and rearranged last; an array is in the named layout from the start.
        bool channelsLast = options.ChannelsLast && !image;
        if (options.Resize is [int height, int width])
            raw = Resize(raw, channelsLast, height, width, label);
        Normalize(raw, channelsLast, label);
        if (image && options.ChannelsLast)
            raw = ToChannelsLast(raw);
        return new Tensor(raw.Shape, raw.Memory) { Source = label, Name = source.Name, SequenceLength = total };
    }

    private static Tensor Resize(Tensor tensor, bool channelsLast, int height, int width, string label)
    {
        int[] shape = tensor.Shape;
        int h = shape.Length - (channelsLast ? 3 : 2);
        if (h < 0)
            throw new QuantException(ErrorIds.ShapeMismatch, $"'{label}' has the shape [{TensorShape.Format(shape)}], which is no image that -Resize could resize.", label);
        int outer = TensorShape.Count(shape.AsSpan(0, h)), inner = TensorShape.Count(shape.AsSpan(h + 2));
        if (shape[h] == 0 || shape[h + 1] == 0)
            throw new QuantException(ErrorIds.ShapeMismatch, $"'{label}' has the shape [{TensorShape.Format(shape)}]: an image without pixels cannot be resized.", label);
        float[] resized = Resizing.Bilinear(tensor.Span, outer, shape[h], shape[h + 1], inner, height, width);
        shape[h] = height;
        shape[h + 1] = width;
        return new Tensor(shape, resized);
    }

    /// <summary>(value / Scale - Mean) / Std in place, three float32 operations in this order, as torchvision's ToTensor and Normalize do.</summary>
    private void Normalize(Tensor tensor, bool channelsLast, string label)
    {
        bool perChannel = options.Mean.Length > 1 || options.Std.Length > 1;
        if (!perChannel)
        {
            Apply(tensor.Span, options.Mean[0], options.Std[0]);
            return;
        }
        int axis = channelsLast ? tensor.Rank - 1 : tensor.Rank - 3;
        int channels = axis >= 0 ? tensor.Dims[axis] : 0;
        if ((options.Mean.Length > 1 && options.Mean.Length != channels) || (options.Std.Length > 1 && options.Std.Length != channels))
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"{options.Mean.Length} values of -Mean and {options.Std.Length} of -Std do not fit '{label}', shape [{TensorShape.Format(tensor.Dims)}], which has {channels} channels. Give one value, or one per channel.", label);
        (int outer, _, int inner) = TensorShape.Split(tensor.Dims, axis);
        for (int o = 0; o < outer; o++)
            for (int c = 0; c < channels; c++)
                Apply(tensor.Span.Slice((o * channels + c) * inner, inner), options.Mean[options.Mean.Length > 1 ? c : 0], options.Std[options.Std.Length > 1 ? c : 0]);
    }

    private void Apply(Span<float> values, float mean, float std)
    {
        float scale = options.Scale;
        if (scale == 1 && mean == 0 && std == 1)
            return;
        for (int i = 0; i < values.Length; i++)
            values[i] = (values[i] / scale - mean) / std;
    }

    private static Tensor ToChannelsLast(Tensor nchw)
    {
        int[] s = nchw.Shape;
        int channels = s[1], pixels = s[2] * s[3];
        Tensor nhwc = new(s[0], s[2], s[3], s[1]);
        ReadOnlySpan<float> from = nchw.Span;
        Span<float> to = nhwc.Span;
        for (int n = 0; n < s[0]; n++)
            for (int c = 0; c < channels; c++)
                for (int p = 0; p < pixels; p++)
                    to[(n * pixels + p) * channels + c] = from[(n * channels + c) * pixels + p];
        return nhwc;
    }

    /// <summary>What the system throws about a file, as errors that name it.</summary>
    private static bool Translate(string path, Func<bool> moveNext)
    {
        try
        {
            return moveNext();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new QuantException(ErrorIds.FileNotFound, $"There is no file '{path}'.", path, e);
        }
        catch (InvalidDataException e)
        {
            throw new QuantException(ErrorIds.FileFormat, $"'{path}' is damaged: {e.Message}", path, e);
        }
        catch (EndOfStreamException e)
        {
            throw new QuantException(ErrorIds.FileTruncated, $"'{path}' is cut off: {e.Message}", path, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new QuantException(ErrorIds.FileUnreadable, $"'{path}' cannot be read: {e.Message}", path, e);
        }
    }
}
