using System.Buffers.Binary;
using System.Collections.Concurrent;

namespace QuantPS.Onnx.Tests.RealModels;

/// <summary>The outlines of one of the fonts in Fonts, filled: as much of TrueType as these need (no hints, no composite glyphs, no kerning).</summary>
/// <remarks>Source of the tables: the OpenType specification, chapters cmap (format 4), loca, glyf and hmtx.</remarks>
internal sealed class TrueTypeFont
{
    /// <summary>Scan lines per row of pixels.</summary>
    private const int Fine = 8;

    /// <summary>Straight pieces that a curve becomes.</summary>
    private const int Pieces = 6;

    private static readonly ConcurrentDictionary<string, TrueTypeFont> Loaded = [];

    private readonly byte[] data;
    private readonly Dictionary<string, int> tables = [];
    private readonly int unitsPerEm, advances;

    private TrueTypeFont(byte[] data)
    {
        this.data = data;
        for (int i = 0; i < UInt16(4); i++)
            tables[System.Text.Encoding.ASCII.GetString(data, 12 + 16 * i, 4)] = (int)UInt32(12 + 16 * i + 8);
        unitsPerEm = UInt16(tables["head"] + 18);
        advances = UInt16(tables["hhea"] + 34);
        Assert.Equal(0, UInt16(tables["head"] + 50));
    }

    /// <summary>A font by the name of its file.</summary>
    public static TrueTypeFont Load(string name) =>
        Loaded.GetOrAdd(name, n => new TrueTypeFont(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "fonts", n + ".ttf"))));

    /// <summary>Width of a text, in pixels.</summary>
    /// <param name="text">ASCII.</param>
    /// <param name="size">Pixels per em.</param>
    public double Width(string text, double size) => text.Sum(c => Advance(Glyph(c))) * size / unitsPerEm;

    /// <summary>The share of each pixel that ink covers, row by row.</summary>
    /// <param name="text">ASCII.</param>
    /// <param name="size">Pixels per em.</param>
    /// <param name="left">Where the text starts, in pixels.</param>
    /// <param name="baseline">Row of its base line.</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    public float[] Draw(string text, double size, double left, double baseline, int height, int width)
    {
        double scale = size / unitsPerEm;
        List<(double X, double Y)[]> contours = [];
        foreach (char c in text)
        {
            int glyph = Glyph(c);
            foreach ((double X, double Y)[] contour in Contours(glyph))
                contours.Add(Array.ConvertAll(contour, p => (left + p.X * scale, baseline - p.Y * scale)));
            left += Advance(glyph) * scale;
        }
        return Fill(contours, height, width);
    }

    private static float[] Fill(List<(double X, double Y)[]> contours, int height, int width)
    {
        var coverage = new float[height * width];
        for (int line = 0; line < height * Fine; line++)
        {
            double y = (line + 0.5) / Fine;
            List<(double X, int Turn)> crossings = [];
            foreach ((double X, double Y)[] c in contours)
            {
                for (int i = 0; i < c.Length; i++)
                {
                    ((double x0, double y0), (double x1, double y1)) = (c[i], c[(i + 1) % c.Length]);
                    if (y0 <= y != y1 <= y)
                        crossings.Add((x0 + (y - y0) / (y1 - y0) * (x1 - x0), y1 > y0 ? 1 : -1));
                }
            }
            crossings.Sort();
            // Inside is where the outline winds around, whichever way.
            for (int i = 0, winding = 0; i + 1 < crossings.Count; i++)
            {
                winding += crossings[i].Turn;
                (double from, double to) = (Math.Max(0, crossings[i].X), Math.Min(width, crossings[i + 1].X));
                for (int x = (int)from; winding != 0 && x < to; x++)
                    coverage[line / Fine * width + x] += (float)((Math.Min(to, x + 1) - Math.Max(from, x)) / Fine);
            }
        }
        return coverage;
    }

    private int Glyph(char c)
    {
        int map = tables["cmap"], table = map + (int)UInt32(map + 8), twice = UInt16(table + 6);
        Assert.Equal(4, UInt16(table));
        for (int s = 0; s < twice; s += 2)
        {
            int start = UInt16(table + 16 + twice + s), shift = UInt16(table + 16 + 2 * twice + s), at = table + 16 + 3 * twice + s;
            if (c <= UInt16(table + 14 + s) && c >= start)
                return UInt16(at) == 0 ? (c + shift) & 0xFFFF : (UInt16(at + UInt16(at) + 2 * (c - start)) + shift) & 0xFFFF;
        }
        throw new ArgumentException($"The font has no '{c}'.");
    }

    private int Advance(int glyph) => UInt16(tables["hmtx"] + 4 * Math.Min(glyph, advances - 1));

    /// <summary>The closed contours of a glyph, curves taken apart, in units of the em square with y upwards.</summary>
    private IEnumerable<(double X, double Y)[]> Contours(int glyph)
    {
        int at = tables["glyf"] + 2 * UInt16(tables["loca"] + 2 * glyph), next = tables["glyf"] + 2 * UInt16(tables["loca"] + 2 * glyph + 2);
        if (at == next)
            yield break;
        int[] ends = [.. Enumerable.Range(0, Int16(at)).Select(i => (int)UInt16(at + 10 + 2 * i))];
        int p = at + 10 + 2 * ends.Length, count = ends[^1] + 1;
        p += 2 + UInt16(p);
        List<byte> flags = [];
        while (flags.Count < count)
        {
            byte flag = data[p++];
            flags.AddRange(Enumerable.Repeat(flag, (flag & 8) != 0 ? data[p++] + 1 : 1));
        }
        int[] xs = Coordinates(2, 16), ys = Coordinates(4, 32);
        for (int c = 0, first = 0; c < ends.Length; first = ends[c++] + 1)
            yield return [.. Flattened([.. Enumerable.Range(first, ends[c] + 1 - first).Select(i => ((double)xs[i], (double)ys[i], (flags[i] & 1) != 0))])];

        int[] Coordinates(int isByte, int isSameOrPositive)
        {
            int value = 0;
            return [.. flags.Select(f =>
            {
                bool same = (f & isSameOrPositive) != 0;
                if ((f & isByte) != 0)
                    return value += same ? data[p++] : -data[p++];
                if (!same)
                    (value, p) = (value + Int16(p), p + 2);
                return value;
            })];
        }
    }

    /// <summary>Points off the curve are the middle of a quadratic one; between two of them lies a point on it.</summary>
    private static IEnumerable<(double X, double Y)> Flattened((double X, double Y, bool On)[] points)
    {
        for (int i = 0; i < points.Length; i++)
        {
            (double X, double Y, bool On) before = points[(i + points.Length - 1) % points.Length], here = points[i], after = points[(i + 1) % points.Length];
            if (here.On)
            {
                yield return (here.X, here.Y);
                continue;
            }
            (double x0, double y0) = before.On ? (before.X, before.Y) : ((before.X + here.X) / 2, (before.Y + here.Y) / 2);
            (double x1, double y1) = after.On ? (after.X, after.Y) : ((after.X + here.X) / 2, (after.Y + here.Y) / 2);
            for (int k = 0; k <= Pieces; k++)
            {
                double t = (double)k / Pieces, s = 1 - t;
                yield return (s * s * x0 + 2 * s * t * here.X + t * t * x1, s * s * y0 + 2 * s * t * here.Y + t * t * y1);
            }
        }
    }

    private ushort UInt16(int at) => BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(at));

    private short Int16(int at) => BinaryPrimitives.ReadInt16BigEndian(data.AsSpan(at));

    private uint UInt32(int at) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(at));
}
