using System.Globalization;
using System.Text;
using QuantPS.Engine.Tensors;

namespace QuantPS.Formatting;

/// <summary>Tensors as the views show them.</summary>
public static class TensorText
{
    /// <summary>The first elements: "0.5, 0.25, 1, ... (98)".</summary>
    public static string Preview(Tensor tensor, int count = 6)
    {
        ReadOnlySpan<float> values = tensor.Span[..Math.Min(count, tensor.Length)];
        StringBuilder text = new();
        foreach (float v in values)
            text.Append(text.Length > 0 ? ", " : "").Append(Text.Number(v));
        return Cut(text, values.Length, tensor.Length);
    }

    /// <summary>The first integers: "255, 255, 0, ... (50)".</summary>
    public static string Preview(QuantizedTensor tensor, int count = 8)
    {
        int shown = Math.Min(count, tensor.Length);
        StringBuilder text = new();
        for (int i = 0; i < shown; i++)
            text.Append(i > 0 ? ", " : "").Append(tensor.GetInteger(i).ToString(CultureInfo.InvariantCulture));
        return Cut(text, shown, tensor.Length);
    }

    /// <summary>"-0.81..2.02": the smallest and the largest element.</summary>
    public static string Range(Tensor tensor) => tensor.Length == 0 ? "" : $"{Text.Number(tensor.Min())}..{Text.Number(tensor.Max())}";

    /// <summary>Scale with all its digits per tensor, its range per channel.</summary>
    public static string Scale(QuantizedTensor tensor) =>
        tensor.QParams.IsPerChannel ? Text.Range(tensor.QParams.Scales) : tensor.QParams.Scales[0].ToString("G9", CultureInfo.InvariantCulture);

    /// <summary>Zero point, or its range per channel.</summary>
    public static string ZeroPoint(QuantizedTensor tensor) => Text.Range(tensor.QParams.ZeroPoints);

    /// <summary>The file, without its folder, and the index in it; what is too long loses its middle, because the index is at the end.</summary>
    public static string Source(string? source, int width = 28)
    {
        string name = Path.GetFileName(source) ?? "";
        return name.Length <= width ? name : $"{name[..(width / 2)]}…{name[^(width - (width / 2) - 1)..]}";
    }

    private static string Cut(StringBuilder text, int shown, int length) => length > shown ? text.Append($", ... ({length})").ToString() : text.ToString();
}
