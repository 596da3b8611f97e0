using System.Buffers.Binary;
using System.Text;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>calibration.flatbuffers: table KeyValue { key: string; value: string; } table TrtTable { dict: [KeyValue]; } root_type TrtTable;
/// the value is the end of the range as text.</summary>
/// <remarks>Source of the schema: onnxruntime/python/tools/quantization/CalTableFlatBuffers. Of the encoding: flatbuffers.dev, "FlatBuffer Internals":
/// all numbers little-endian; an offset counts from where it stands; a table begins with the signed distance back to its vtable, which has its own
/// size, the table's, and where in the table each field is (0: nowhere).</remarks>
internal sealed class OnnxRuntimeFlatBuffersFormat : OnnxRuntimeTable
{
    private const int Word = sizeof(uint);

    public override IReadOnlyList<string> Extensions => ["flatbuffers"];

    public override bool Recognizes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return Read(bytes.ToArray(), "").Count > 0;
        }
        catch (QuantException)
        {
            return false;
        }
    }

    public override void Write(CalibrationData calibration, Stream stream, string path, string version)
    {
        (byte[] Key, byte[] Value)[] entries = [.. Ranges(calibration).Select(r =>
            (Encoding.UTF8.GetBytes(r.Name), Encoding.ASCII.GetBytes(Number(MathF.Max(MathF.Abs(r.Min), MathF.Abs(r.Max))))))];
        // Root, vtable and table of TrtTable; the vector; the vtable of all KeyValues, they themselves, their strings.
        const int rootTable = 12, vector = rootTable + 2 * Word, tableSize = 3 * Word;
        int entryVtable = vector + Word + entries.Length * Word, entryTables = entryVtable + 2 * Word, strings = entryTables + entries.Length * tableSize;
        using MemoryStream buffer = new();
        BinaryWriter writer = new(buffer);
        writer.Write(rootTable);
        Shorts(6, 8, 4, 0);
        writer.Write(rootTable - Word);
        writer.Write(vector - (rootTable + Word));
        writer.Write(entries.Length);
        for (int i = 0; i < entries.Length; i++)
            writer.Write(entryTables + i * tableSize - (vector + Word + i * Word));
        Shorts(8, tableSize, 4, 8);
        int at = strings;
        for (int i = 0; i < entries.Length; i++)
        {
            int table = entryTables + i * tableSize;
            writer.Write(table - entryVtable);
            writer.Write(at - (table + Word));
            at += Size(entries[i].Key);
            writer.Write(at - (table + 2 * Word));
            at += Size(entries[i].Value);
        }
        foreach (byte[] text in entries.SelectMany(e => new[] { e.Key, e.Value }))
        {
            writer.Write(text.Length);
            writer.Write(text);
            writer.Write(new byte[Size(text) - Word - text.Length]);
        }
        buffer.WriteTo(stream);

        void Shorts(params ReadOnlySpan<short> values)
        {
            foreach (short v in values)
                writer.Write(v);
        }

        // A length, the bytes, a zero, up to a whole word.
        static int Size(byte[] text) => Word + (text.Length + 1 + Word - 1) / Word * Word;
    }

    public override CalibrationData Read(byte[] bytes, OnnxModel model, QConfig? config, string where) => FromEnds(Read(bytes, where), model, config, where);

    private static List<(string, string)> Read(byte[] bytes, string where)
    {
        List<(string, string)> entries = [];
        int dict = Field(Offset(0, "root"), 0, "dict"), count = Int(dict, "dict");
        if (count < 0 || count > bytes.Length / Word)
            throw Damaged(where, "dict", $"{count} entries in {bytes.Length} bytes");
        for (int i = 0; i < count; i++)
        {
            string name = $"dict[{i}]";
            int entry = Offset(dict + Word + i * Word, name);
            entries.Add((Text(Field(entry, 0, name + ".key"), name + ".key"), Text(Field(entry, 1, name + ".value"), name + ".value")));
        }
        return entries;

        int Int(int at, string key) => at >= 0 && at <= bytes.Length - Word ? BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at)) : throw Cut(key);

        int Short(int at, string key) => at >= 0 && at <= bytes.Length - sizeof(ushort) ? BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at)) : throw Cut(key);

        int Offset(int at, string key) => Int(at, key) is int distance and > 0 && distance < bytes.Length ? at + distance : throw Cut(key);

        // The position of what a field of offsets points to.
        int Field(int table, int index, string key)
        {
            long start = (long)table - Int(table, key);
            int vtable = start >= 0 && start < bytes.Length ? (int)start : throw Cut(key);
            int slot = 2 * sizeof(ushort) + index * sizeof(ushort);
            int place = slot < Short(vtable, key) ? Short(vtable + slot, key) : 0;
            return place > 0 ? Offset(table + place, key) : throw Damaged(where, key, "it is missing");
        }

        string Text(int at, string key) => Int(at, key) is int length and >= 0 && length <= bytes.Length - at - Word
            ? Encoding.UTF8.GetString(bytes, at + Word, length) : throw Cut(key);

        QuantException Cut(string key) => Damaged(where, key, $"it points outside the {bytes.Length} bytes of the file");
    }
}
