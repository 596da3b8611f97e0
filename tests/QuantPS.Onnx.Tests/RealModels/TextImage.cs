using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Tests.RealModels;

/// <summary>Images of digits and some capital letters, drawn from strokes: no font is needed.</summary>
internal static class TextImage
{
    public const string Characters = "0123456789AEFHLTPUC";

    private const int GlyphRows = 7, GlyphColumns = 5, LineHeight = 48;

    /// <summary>The segments of a display, with rows 0 to 6 and columns 0 to 4: top, upper left, upper right, middle, lower left, lower right, bottom; then a
    /// stem in the middle for 1 and T.</summary>
    private static readonly string[] Segments = ["012456", "7", "02346", "02356", "1235", "01356", "013456", "025", "0123456", "012356", "012345", "01346", "0134", "12345", "146", "07", "01234", "12456", "0146"];

    /// <summary>One line of text as PP-OCR's recognition takes it: [1, 3, 48, width], dark on light, (v / 255 - 0.5) / 0.5.</summary>
    public static Tensor Line(string text, int seed = 0)
    {
        const int Scale = 5, Margin = 8, Top = (LineHeight - GlyphRows * Scale) / 2;
        Tensor image = Paper(LineHeight, Margin * 2 + text.Length * (GlyphColumns + 2) * Scale, seed);
        for (int i = 0; i < text.Length; i++)
            Draw(image, text[i], Top, Margin + i * (GlyphColumns + 2) * Scale, Scale);
        return image;
    }

    /// <summary>A page with lines of text, [1, 3, 160, 320].</summary>
    public static Tensor Page(string[] lines, int seed = 0)
    {
        const int Scale = 3, Distance = 40;
        Tensor image = Paper(160, 320, seed);
        for (int l = 0; l < lines.Length; l++)
        {
            for (int i = 0; i < lines[l].Length; i++)
                Draw(image, lines[l][i], 12 + l * Distance, 16 + i * (GlyphColumns + 2) * Scale, Scale);
        }
        return image;
    }

    /// <summary>Random text of the characters that can be drawn.</summary>
    public static string Text(Random random, int length) => new([.. Enumerable.Range(0, length).Select(_ => Characters[random.Next(Characters.Length)])]);

    private static Tensor Paper(int height, int width, int seed)
    {
        Random random = new(seed);
        Tensor image = new(1, 3, height, width);
        foreach (ref float v in image.Span)
            v = 0.85f + 0.1f * (float)random.NextDouble();
        return image;
    }

    private static void Draw(Tensor image, char c, int top, int left, int scale)
    {
        foreach (char segment in Segments[Characters.IndexOf(c)])
        {
            (double y0, double x0, double y1, double x1) = segment switch
            {
                '0' => (0d, 0d, 0d, 4d),
                '1' => (0, 0, 3, 0),
                '2' => (0, 4, 3, 4),
                '3' => (3, 0, 3, 4),
                '4' => (3, 0, 6, 0),
                '5' => (3, 4, 6, 4),
                '6' => (6, 0, 6, 4),
                _ => (0, 2, 6, 2),
            };
            Stroke(image, top + scale * (y0 + 0.5), left + scale * (x0 + 0.5), top + scale * (y1 + 0.5), left + scale * (x1 + 0.5), scale * 0.55);
        }
    }

    /// <summary>A line with round ends and soft edges.</summary>
    private static void Stroke(Tensor image, double y0, double x0, double y1, double x1, double radius)
    {
        int height = image.Dims[2], width = image.Dims[3];
        for (int y = (int)(Math.Min(y0, y1) - radius) - 1; y <= Math.Max(y0, y1) + radius + 1; y++)
        {
            for (int x = (int)(Math.Min(x0, x1) - radius) - 1; x <= Math.Max(x0, x1) + radius + 1; x++)
            {
                if (y < 0 || y >= height || x < 0 || x >= width)
                    continue;
                double along = Math.Clamp(((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / ((y1 - y0) * (y1 - y0) + (x1 - x0) * (x1 - x0)), 0, 1);
                double distance = Math.Sqrt(Math.Pow(y - y0 - along * (y1 - y0), 2) + Math.Pow(x - x0 - along * (x1 - x0), 2));
                float ink = (float)Math.Clamp(radius + 0.5 - distance, 0, 1);
                for (int channel = 0; channel < 3; channel++)
                {
                    ref float v = ref image.Span[(channel * height + y) * width + x];
                    v = Math.Min(v, v * (1 - ink) - 0.9f * ink);
                }
            }
        }
    }
}
