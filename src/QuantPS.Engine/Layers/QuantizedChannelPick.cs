using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Channels of images, or of several images joined, picked into one or several results: what joining, a channel shuffle and cutting are together, in one go.
/// Pixels stay pixels.</summary>
public sealed class QuantizedChannelPick
{
    private readonly QuantizedConcat? joint;
    private readonly int[] channels;
    private readonly ChannelPickKernel[] picks;

    // The kernel reads one tensor or two; others are joined first.
    private readonly bool isPair;

    /// <param name="joint">Joins the images along their channels; null where there is one.</param>
    /// <param name="channels">Of each image.</param>
    /// <param name="picks">For each result, of each of its channels the one of the joined images that it is.</param>
    /// <exception cref="ArgumentException">Several images and nothing that joins them.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel.</exception>
    public QuantizedChannelPick(QuantizedConcat? joint, IReadOnlyList<int> channels, IReadOnlyList<IReadOnlyList<int>> picks)
    {
        if (joint is null && channels.Count != 1)
            throw new ArgumentException($"{channels.Count} images and nothing that joins them.", nameof(joint));
        this.joint = joint;
        this.channels = [.. channels];
        isPair = channels.Count == 2 && joint!.HasOneTable;
        (int first, int others) = isPair ? (channels[0], channels[1]) : (channels.Sum(), 0);
        this.picks = [.. picks.Select(p => new ChannelPickKernel(first, others, p))];
    }

    /// <summary>Whether most of the bytes lie pixel by pixel. Of planes whole rows are moved anyway, which needs no help.</summary>
    public static bool Suits(params ReadOnlySpan<QuantizedTensor> images) =>
        QuantizedConcat.Bytes(images, last: true) is > 0 and var pixels && pixels >= QuantizedConcat.Bytes(images, last: false);

    /// <param name="images">[N, channels, spatial...], alike but for the channels.</param>
    /// <returns>A tensor [N, picked, spatial...] for every pick, with the joint's parameters, or the image's.</returns>
    /// <exception cref="QuantException">ShapeMismatch; UnsupportedDType.</exception>
    public QuantizedTensor[] Run(params ReadOnlySpan<QuantizedTensor> images)
    {
        Check(images);
        if (isPair)
            return Pick(images[0], images[1]);
        if (joint is null)
            return Pick(images[0], null);
        QuantizedTensor all = joint.Run(images);
        QuantizedTensor[] results = Pick(all, null);
        ActivationPool.Return(all.AnyLayout);
        ActivationPool.Return(all.LeftLayout);
        return results;
    }

    private QuantizedTensor[] Pick(QuantizedTensor image, QuantizedTensor? other)
    {
        ReadOnlyMemory<byte> x = Pixels(image, out Memory<byte> made), y = default;
        Memory<byte> otherMade = default;
        if (other is not null)
            y = Pixels(other, out otherMade);
        var results = new QuantizedTensor[picks.Length];
        int[] shape = image.Shape;
        for (int i = 0; i < results.Length; i++)
        {
            shape[1] = picks[i].Count;
            results[i] = OperatorChecks.NewTensor(shape, joint?.OutputQParams ?? image.QParams, image, KernelLayout.ChannelsLast, out Memory<byte> bytes);
            picks[i].Run(x, y, bytes);
        }
        ActivationPool.Return(made);
        ActivationPool.Return(otherMade);
        return results;
    }

    /// <summary>An image's bytes, pixel by pixel and under the result's parameters.</summary>
    private ReadOnlyMemory<byte> Pixels(QuantizedTensor image, out Memory<byte> made)
    {
        made = default;
        if (!image.TryGetChannelsLast(out Memory<byte> pixels))
        {
            pixels = made = ActivationPool.Allocate(image.Length);
            LayoutConversion.ToChannelsLast(image.Memory, made, image.Dims[0], image.Dims[1], TensorShape.Count(image.Dims[2..]));
        }
        if (joint?.TableOf(image.QParams, image.Rank) is not { } table)
            return pixels;
        if (made.IsEmpty)
            made = ActivationPool.Allocate(image.Length);
        TableKernel.Run(pixels, made, table);
        return made;
    }

    private void Check(ReadOnlySpan<QuantizedTensor> images)
    {
        if (images.Length != channels.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{images.Length} images, of which there have to be {channels.Length}.");
        int[] shape = images[0].Shape;
        for (int i = 0; i < images.Length; i++)
        {
            OperatorChecks.EightBit(images[i].QParams, "An image");
            if (joint is not null)
                joint.CheckInput(images[i].QParams);
            if (shape.Length > 2)
                shape[1] = channels[i];
            if (shape.Length < 3 || !images[i].Dims.SequenceEqual(shape))
                throw new QuantException(ErrorIds.ShapeMismatch, $"[{TensorShape.Format(images[i].Dims)}] is no image of {channels[i]} channels beside [{TensorShape.Format(images[0].Dims)}].", images[i]);
        }
    }
}
