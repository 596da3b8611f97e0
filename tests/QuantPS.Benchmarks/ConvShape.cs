using System.Globalization;

namespace QuantPS.Benchmarks;

/// <summary>A square convolution: N,C,H,W,O,K,S,P,G as on the command line.</summary>
internal readonly record struct ConvShape(int Batch, int Channels, int Height, int Width, int Outputs, int Kernel, int Stride, int Padding, int Groups)
{
    public int OutHeight => (Height + 2 * Padding - Kernel) / Stride + 1;

    public int OutWidth => (Width + 2 * Padding - Kernel) / Stride + 1;

    /// <summary>Multiply-accumulates.</summary>
    public long Macs => (long)Batch * Outputs * OutHeight * OutWidth * Kernel * Kernel * (Channels / Groups);

    public static ConvShape Parse(string text)
    {
        int[] n = [.. text.Split(',').Select(v => int.Parse(v, CultureInfo.InvariantCulture))];
        return n.Length == 9 ? new(n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]) : throw new FormatException($"'{text}': a shape is N,C,H,W,O,K,S,P,G.");
    }

    public override string ToString() => string.Join(',', Batch, Channels, Height, Width, Outputs, Kernel, Stride, Padding, Groups);
}

/// <summary>The shapes of the table: layers of real networks, and odd ones.</summary>
internal static class ConvShapes
{
    /// <summary>Every distinct layer of ResNet-50 at 224 x 224.</summary>
    private static readonly string[] ResNet50 =
    [
        "1,3,224,224,64,7,2,3,1", "1,64,56,56,64,1,1,0,1", "1,64,56,56,64,3,1,1,1", "1,64,56,56,256,1,1,0,1", "1,256,56,56,64,1,1,0,1",
        "1,256,56,56,128,1,1,0,1", "1,128,56,56,128,3,2,1,1", "1,256,56,56,512,1,2,0,1", "1,128,28,28,512,1,1,0,1", "1,512,28,28,128,1,1,0,1",
        "1,128,28,28,128,3,1,1,1", "1,512,28,28,256,1,1,0,1", "1,256,28,28,256,3,2,1,1", "1,512,28,28,1024,1,2,0,1", "1,256,14,14,1024,1,1,0,1",
        "1,1024,14,14,256,1,1,0,1", "1,256,14,14,256,3,1,1,1", "1,1024,14,14,512,1,1,0,1", "1,512,14,14,512,3,2,1,1", "1,1024,14,14,2048,1,2,0,1",
        "1,512,7,7,2048,1,1,0,1", "1,2048,7,7,512,1,1,0,1", "1,512,7,7,512,3,1,1,1",
    ];

    /// <summary>MobileNetV2 and V3: stem, depthwise and pointwise layers.</summary>
    private static readonly string[] MobileNet =
    [
        "1,3,224,224,32,3,2,1,1", "1,32,112,112,32,3,1,1,32", "1,32,112,112,16,1,1,0,1", "1,16,112,112,96,1,1,0,1", "1,96,112,112,96,3,2,1,96",
        "1,96,56,56,24,1,1,0,1", "1,24,56,56,144,1,1,0,1", "1,144,56,56,144,3,1,1,144", "1,144,56,56,144,3,2,1,144", "1,144,28,28,32,1,1,0,1",
        "1,192,28,28,192,3,1,1,192", "1,384,14,14,384,3,1,1,384", "1,64,14,14,384,1,1,0,1", "1,576,14,14,576,3,2,1,576", "1,960,7,7,960,3,1,1,960",
        "1,320,7,7,1280,1,1,0,1", "1,120,28,28,120,5,1,2,120", "1,672,14,14,672,5,2,2,672", "1,960,7,7,160,1,1,0,1",
    ];

    /// <summary>PP-OCR detection and recognition.</summary>
    private static readonly string[] PpOcr = ["1,3,320,320,16,3,2,1,1", "1,16,160,160,32,3,1,1,1", "1,96,80,80,24,3,1,1,1", "1,48,24,160,96,3,1,1,1", "1,120,12,80,120,5,1,2,120"];

    /// <summary>Remainders of every tile.</summary>
    private static readonly string[] Odd = ["1,3,33,33,17,3,1,1,1", "1,5,57,57,33,3,1,1,1", "1,17,31,31,33,3,2,1,1", "1,33,29,29,65,1,1,0,1", "1,512,1,1,1000,1,1,0,1", "1,256,3,3,256,3,1,1,1", "1,256,2,2,256,3,1,1,1"];

    /// <summary>Batch 8.</summary>
    private static readonly string[] Batches = ["8,64,56,56,64,3,1,1,1", "8,256,14,14,256,3,1,1,1", "8,256,14,14,1024,1,1,0,1", "8,144,56,56,144,3,1,1,144", "8,3,224,224,64,7,2,3,1"];

    public static IReadOnlyList<ConvShape> All { get; } = [.. new[] { ResNet50, MobileNet, PpOcr, Odd, Batches }.SelectMany(s => s).Select(ConvShape.Parse)];
}
