using System.Globalization;

namespace QuantPS.Formatting;

/// <summary>Numbers as the views show them: short, invariant, the same on every machine.</summary>
public static class Text
{
    /// <summary>How many spark characters there are.</summary>
    private const string Blocks = "▁▂▃▄▅▆▇█";

    /// <summary>A number with few digits: 0.0117, 1.2e+05, 255.</summary>
    public static string Number(double value, int digits = 4) => value.ToString("G" + digits, CultureInfo.InvariantCulture) switch
    {
        var s when s.Contains('E', StringComparison.Ordinal) => s.Replace("E", "e", StringComparison.Ordinal),
        var s => s,
    };

    /// <summary>The range of many numbers: "0.0008..0.0041 x 16"; one number stands alone.</summary>
    public static string Range(ReadOnlySpan<float> values)
    {
        if (values.IsEmpty)
            return "";
        float min = values[0], max = values[0];
        foreach (float v in values)
        {
            min = Math.Min(min, v);
            max = Math.Max(max, v);
        }
        string range = min.Equals(max) ? Number(min) : $"{Number(min)}..{Number(max)}";
        return values.Length == 1 ? range : $"{range} x {values.Length}";
    }

    /// <summary>The range of many integers; one stands alone.</summary>
    public static string Range(ReadOnlySpan<int> values)
    {
        if (values.IsEmpty)
            return "";
        int min = values[0], max = values[0];
        foreach (int v in values)
        {
            min = Math.Min(min, v);
            max = Math.Max(max, v);
        }
        string range = min == max ? min.ToString(CultureInfo.InvariantCulture) : $"{min}..{max}";
        return values.Length == 1 ? range : $"{range} x {values.Length}";
    }

    /// <summary>Bytes: "312 KB".</summary>
    public static string Size(long bytes) => bytes switch
    {
        < 1024 => $"{bytes} B",
        < 1024 * 1024 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1024.0 * 1024):0.#} MB"),
    };

    /// <summary>A shape: "2x5x7x7"; "scalar" without dimensions.</summary>
    public static string Shape(ReadOnlySpan<int> shape) => shape.IsEmpty ? "scalar" : string.Join("x", shape.ToArray());

    /// <summary>The spread of values as a row of blocks, the highest one full; empty bins are the lowest block.</summary>
    /// <param name="bins">Counts, from the smallest value to the largest; merged to <paramref name="width"/> groups.</param>
    /// <param name="width">Characters.</param>
    public static string Sparkline(ReadOnlySpan<float> bins, int width = 9)
    {
        if (bins.IsEmpty)
            return "";
        width = Math.Min(width, bins.Length);
        double[] groups = new double[width];
        for (int i = 0; i < bins.Length; i++)
            groups[(int)((long)i * width / bins.Length)] += bins[i];
        double top = groups.Max();
        return string.Concat(groups.Select(g => Blocks[top > 0 ? (int)Math.Min(Blocks.Length - 1, g / top * Blocks.Length) : 0]));
    }
}
