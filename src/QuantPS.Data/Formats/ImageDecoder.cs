using QuantPS.Data.Sources;
using StbImageSharp;

namespace QuantPS.Data.Formats;

/// <summary>What .png and .jpg share: pixels to a tensor [1, C, H, W] of 0 to 255.</summary>
/// <remarks>Alpha is dropped, 16-bit samples lose their lower byte. Grey images have one channel, others three (R, G, B).</remarks>
internal static class ImageDecoder
{
    public static MemorySource Decode(InputFile file, string format, byte[] bytes, bool grayscale)
    {
        ImageResult image;
        try
        {
            image = ImageResult.FromMemory(bytes, ColorComponents.Default);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The decoder reports damage by whatever exception its index arithmetic runs into.
            throw file.NotA(format, e.Message, e);
        }
        int stored = (int)image.Comp, pixels = image.Width * image.Height;
        int colors = stored >= 3 ? 3 : 1;
        int channels = grayscale ? 1 : colors;
        float[] values = new float[channels * pixels];
        for (int p = 0; p < pixels; p++)
        {
            ReadOnlySpan<byte> pixel = image.Data.AsSpan(p * stored, stored);
            if (channels == 3)
            {
                values[p] = pixel[0];
                values[pixels + p] = pixel[1];
                values[2 * pixels + p] = pixel[2];
            }
            else
            {
                values[p] = colors == 3 ? Luma(pixel[0], pixel[1], pixel[2]) : pixel[0];
            }
        }
        return new MemorySource(file.Path, [1, channels, image.Height, image.Width], SourceKind.Images, values);
    }

    /// <summary>ITU-R 601-2 in 16-bit fixed point, rounded: what Pillow's convert("L"), and so torchvision, gives.</summary>
    /// <remarks>Source: Pillow src/libImaging/Convert.c, L24.</remarks>
    private static int Luma(int r, int g, int b) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
}
