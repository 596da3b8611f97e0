using System.Globalization;
using System.Text;
using QuantPS.Data.Sources;

namespace QuantPS.Data.Formats;

/// <summary>Numbers as text: a line a row, separated by comma, semicolon, tab or spaces; one tensor [rows, columns] a file.</summary>
/// <remarks>A point is the decimal sign. A first line without a single number is a heading. Empty lines and lines that begin with # are passed over.</remarks>
public sealed class CsvFormat : TensorFormat
{
    /// <inheritdoc/>
    public override string Name => ".csv";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".csv", ".tsv"];

    /// <summary>Text has no mark of its own: only the extension tells.</summary>
    public override bool Matches(ReadOnlySpan<byte> head) => false;

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        yield return ReadAll(file);
    }

    private static MemorySource ReadAll(InputFile file)
    {
        byte[] bytes;
        using (InputStream stream = file.Open())
            bytes = stream.ReadToEnd();
        using StreamReader text = new(new MemoryStream(bytes), Encoding.UTF8);
        List<float> values = [];
        int rows = 0, columns = 0;
        bool first = true;
        for (int number = 1; text.ReadLine() is string line; number++)
        {
            if (string.IsNullOrWhiteSpace(line) || line.StartsWith('#'))
                continue;
            string[] cells = Split(line);
            if (first && !cells.Any(c => TryParse(c, out _)))
            {
                first = false;
                continue;
            }
            first = false;
            if (rows > 0 && cells.Length != columns)
                throw file.NotA(".csv", $"line {number} has {cells.Length} numbers, the lines before have {columns}.");
            columns = cells.Length;
            foreach (string cell in cells)
                values.Add(TryParse(cell, out float value) ? value : throw file.NotA(".csv", $"'{cell}' in line {number} is not a number."));
            rows++;
        }
        if (rows == 0)
            throw file.NotA(".csv", "it holds no numbers.");
        return new MemorySource(file.Path, [rows, columns], SourceKind.Array, [.. values]);
    }

    private static string[] Split(string line)
    {
        char[] separators = line.Contains(',') ? [','] : line.Contains(';') ? [';'] : line.Contains('\t') ? ['\t'] : [' '];
        StringSplitOptions options = separators[0] == ' ' ? StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries : StringSplitOptions.TrimEntries;
        return [.. line.Split(separators, options).Select(c => c.Trim('"'))];
    }

    private static bool TryParse(string cell, out float value) => float.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
}
