using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Tests.RealModels;

/// <summary>Images of English words, numbers, dates and prices in several fonts and sizes, on paper that is not quite clean. Everything follows from
/// the seed.</summary>
internal static class TextImage
{
    private const int LineHeight = 48;

    private static readonly string[] Fonts = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "DejaVuSansCondensed"];

    private static readonly string[] Words =
    [
        .. ("the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when "
            + "your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into "
            + "time has look two more write go see number no way could people my than first water been call who oil its now find long down day did get come "
            + "made may part over new sound take only little work know place year live me back give most very after thing our just name good sentence man "
            + "think say great where help through much before line right too mean old any same tell boy follow came want show also around form three small "
            + "set put end does another well large must big even such because turn here why ask went men read need land different home us move try kind hand "
            + "picture again change off play spell air away animal house point page letter mother answer found study still learn should America world high "
            + "every near add food between own below country plant last school father keep tree never start city earth eye light thought head under story "
            + "Invoice Total Street London Berlin Monday January Quantity Payment Street Order Customer Phone Receipt Thank Welcome Exit Open Closed Library "
            + "Museum Station Platform Ticket Coffee Breakfast Kitchen Garden Engine Voltage Warning Danger Private Limited Company Service Quality Express")
            .Split(' '),
    ];

    /// <summary>A line to read, by its seed.</summary>
    public static string Text(int seed, int mostCharacters = 26)
    {
        Random random = new(seed * 7919 + 17);
        List<string> parts = [];
        for (int most = random.Next(8, mostCharacters + 1), length = 0; length < most;)
        {
            string word = random.Next(12) switch
            {
                0 => random.Next(10, 100000).ToString(System.Globalization.CultureInfo.InvariantCulture),
                1 => $"{random.Next(1, 29):D2}.{random.Next(1, 13):D2}.{random.Next(1950, 2030)}",
                2 => $"${random.Next(1, 1000)}.{random.Next(100):D2}",
                3 => Words[random.Next(Words.Length)].ToUpperInvariant(),
                4 => string.Concat(Words[random.Next(Words.Length)], ","),
                _ => Words[random.Next(Words.Length)],
            };
            length += word.Length + 1;
            if (length <= mostCharacters || parts.Count == 0)
                parts.Add(word);
        }
        parts[0] = char.ToUpperInvariant(parts[0][0]) + parts[0][1..];
        return string.Join(' ', parts);
    }

    /// <summary>One line of text as PP-OCR's recognition takes it: [1, 3, 48, width], (v / 255 - 0.5) / 0.5. Cut as a detector does, close to the text;
    /// one line in three is blurred, as a small one that was enlarged.</summary>
    /// <param name="text">ASCII.</param>
    /// <param name="seed">Of font, size, colors, noise.</param>
    /// <param name="loose">Cut with wide margins instead, so that the letters are smaller: a recognizer may or may not take these for spaces.</param>
    public static Tensor Line(string text, int seed, bool loose = false)
    {
        Random random = new(seed);
        TrueTypeFont font = TrueTypeFont.Load(Fonts[random.Next(Fonts.Length)]);
        double size = (loose ? 26 : 32) + 10 * random.NextDouble(), margin = loose ? 4 + 8 * random.NextDouble() : 1 + 4 * random.NextDouble();
        double baseline = LineHeight / 2 + size * (0.32 + 0.06 * (random.NextDouble() - 0.5));
        int width = (int)Math.Ceiling(font.Width(text, size) + 2 * margin), blurs = Math.Max(0, random.Next(-3, 3));
        Tensor image = Paper(LineHeight, width, random, out float[] ink);
        float[] coverage = font.Draw(text, size, margin, baseline, LineHeight, width);
        for (int i = 0; i < blurs; i++)
            coverage = Blur(Blur(coverage, 1), width);
        Print(image, coverage, ink);
        return image;
    }

    /// <summary>A page with lines of text, [1, 3, 224, 448].</summary>
    public static Tensor Page(string[] lines, int seed)
    {
        Random random = new(seed);
        Tensor image = Paper(224, 448, random, out float[] ink);
        for (int l = 0; l < lines.Length; l++)
        {
            TrueTypeFont font = TrueTypeFont.Load(Fonts[random.Next(Fonts.Length)]);
            Print(image, font.Draw(lines[l], 16 + 8 * random.NextDouble(), 16 + 40 * random.NextDouble(), 40 + l * 50, 224, 448), ink);
        }
        return image;
    }

    /// <summary>Paper with a gradient and noise, and the color of ink for it: dark on light, one time in five light on dark.</summary>
    private static Tensor Paper(int height, int width, Random random, out float[] ink)
    {
        Tensor image = new(1, 3, height, width);
        bool inverted = random.Next(5) == 0;
        float noise = 0.3f * random.NextSingle(), slope = 0.2f * (random.NextSingle() - 0.5f);
        ink = new float[3];
        for (int channel = 0; channel < 3; channel++)
        {
            float paper = 0.55f + 0.4f * random.NextSingle();
            ink[channel] = -0.9f + 0.7f * random.NextSingle();
            if (inverted)
                (paper, ink[channel]) = (ink[channel], paper);
            for (int i = 0; i < height * width; i++)
                image.Span[channel * height * width + i] = Math.Clamp(paper + slope * (i % width) / width + noise * (random.NextSingle() - 0.5f), -1, 1);
        }
        return image;
    }

    /// <summary>Half of a pixel, and a quarter of the one on either side.</summary>
    private static float[] Blur(float[] v, int step) =>
        [.. v.Select((x, i) => 0.5f * x + 0.25f * (v[Math.Max(0, i - step)] + v[Math.Min(v.Length - 1, i + step)]))];

    private static void Print(Tensor image, float[] coverage, float[] ink)
    {
        for (int i = 0; i < image.Length; i++)
        {
            ref float v = ref image.Span[i];
            v += coverage[i % coverage.Length] * (ink[i / coverage.Length] - v);
        }
    }
}
