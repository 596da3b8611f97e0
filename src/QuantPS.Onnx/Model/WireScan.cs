namespace QuantPS.Onnx.Model;

/// <summary>Walks the outermost fields of a serialized ModelProto without parsing it, to tell a file that was cut short from one that never
/// was a model.</summary>
/// <remarks>Protocol buffers parse almost any bytes as unknown fields, so a failed or empty parse says little by itself.
/// Source of the wire format: protobuf.dev, Encoding.</remarks>
internal static class WireScan
{
    internal enum Verdict
    {
        WellFormed,
        Truncated,
        Foreign,
    }

    private const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    /// <summary>ModelProto's fields that hold messages or text: number of the field, all of wire type 2.</summary>
    private static readonly HashSet<int> BytesFields = [2, 3, 4, 6, 7, 8, 14, 20, 25, 26];

    internal static Verdict Scan(ReadOnlySpan<byte> data)
    {
        int at = 0;
        bool sawModelField = false;
        while (at < data.Length)
        {
            if (!TryVarint(data, ref at, out ulong tag))
                return sawModelField ? Verdict.Truncated : Verdict.Foreign;
            int field = (int)Math.Min(tag >> 3, int.MaxValue), wire = (int)(tag & 7);
            bool known = field switch { 1 or 5 => wire == Varint, _ => wire == Bytes && BytesFields.Contains(field) };
            if (field == 0 || (BytesFields.Contains(field) || field is 1 or 5) && !known)
                return Verdict.Foreign;
            ulong length;
            switch (wire)
            {
                case Varint:
                    if (!TryVarint(data, ref at, out _))
                        return Cut();
                    length = 0;
                    break;
                case Fixed64:
                    length = 8;
                    break;
                case Bytes:
                    if (!TryVarint(data, ref at, out length))
                        return Cut();
                    break;
                case Fixed32:
                    length = 4;
                    break;
                default:
                    return Verdict.Foreign;
            }
            if (length > (ulong)(data.Length - at))
                return Cut();
            at += (int)length;
            sawModelField |= known;

            // Only a field that a model has can be a cut one: in foreign bytes, lengths beyond the end are the rule.
            Verdict Cut() => known && (sawModelField || field == 1) ? Verdict.Truncated : Verdict.Foreign;
        }
        return Verdict.WellFormed;
    }

    private static bool TryVarint(ReadOnlySpan<byte> data, ref int at, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && at < data.Length; shift += 7)
        {
            byte b = data[at++];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80)
                return true;
        }
        return false;
    }
}
