using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Observers;

/// <summary>Four lanes of any CPU: a table has, for each set of lanes, the bytes that lay them side by side.</summary>
internal struct BinLanes128 : IBinLanes<BinLanes128>
{
    /// <summary>For each mask of four lanes the bytes of those that are set, lowest first.</summary>
    private static readonly Vector128<byte>[] Orders = [.. Enumerable.Range(0, 16).Select(mask =>
    {
        byte[] bytes = [.. Enumerable.Range(0, 16).Where(b => (mask >> b / 4 & 1) != 0).Select(b => (byte)b)];
        Array.Resize(ref bytes, 16);
        return Vector128.Create(bytes);
    })];

    private Vector128<float> first, perUnit, sign, low, high;
    private Vector128<int> fraction;
    private Vector128<uint> end;
    private int shift;

    public static int Count => Vector128<float>.Count;

    public readonly ValueRange Range => new(Smallest(low), -Smallest(-high));

    public static BinLanes128 Create(in EvenEdges edges, bool absolute) => new()
    {
        first = Vector128.Create(edges.First),
        perUnit = Vector128.Create(edges.PerUnit * (1 << edges.ClearBits)),
        sign = absolute ? Vector128.Create(-0f) : Vector128<float>.Zero,
        low = Vector128.Create(float.PositiveInfinity),
        high = Vector128.Create(float.NegativeInfinity),
        fraction = Vector128.Create((1 << edges.ClearBits) - 1),
        end = Vector128.Create((uint)edges.Even << edges.ClearBits),
        shift = edges.ClearBits,
    };

    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (int Clear, int Unclear) Split(ref float x, int length, ref int bins, ref float unclear)
    {
        ref Vector128<byte> orders = ref MemoryMarshal.GetArrayDataReference(Orders);
        // In registers: what is written through references might be the fields.
        (Vector128<float> first, Vector128<float> perUnit, Vector128<float> sign, Vector128<float> low, Vector128<float> high) = (this.first, this.perUnit, this.sign, this.low, this.high);
        (Vector128<int> fraction, Vector128<uint> end, int shift) = (this.fraction, this.end, this.shift);
        int n = 0, others = 0;
        for (int i = 0; i < length; i += Count)
        {
            Vector128<float> raw = Vector128.LoadUnsafe(ref x, (nuint)i), v = Vector128.AndNot(raw, sign);
            low = Vector128.MinNative(raw, low);
            high = Vector128.MaxNative(raw, high);
            // What no int32 holds becomes its smallest or its largest one, or zero for NaN: beyond the end, or at an edge.
            Vector128<int> position = Vector128.ConvertToInt32Native(Vector128.Round((v - first) * perUnit));
            uint clear = (~Vector128.Equals(position & fraction, Vector128<int>.Zero) & Vector128.LessThan(position.AsUInt32(), end).AsInt32()).ExtractMostSignificantBits();
            Vector128.Shuffle((position >>> shift).AsByte(), Unsafe.Add(ref orders, clear)).AsInt32().StoreUnsafe(ref bins, (nuint)n);
            n += BitOperations.PopCount(clear);
            uint other = ~(clear | Vector128.Equals(v, Vector128<float>.Zero).ExtractMostSignificantBits()) & 0xF;
            if (other == 0)
                continue;
            Vector128.Shuffle(v.AsByte(), Unsafe.Add(ref orders, other)).AsSingle().StoreUnsafe(ref unclear, (nuint)others);
            others += BitOperations.PopCount(other);
        }
        (this.low, this.high) = (low, high);
        return (n, others);
    }

    internal static float Smallest(Vector128<float> v)
    {
        v = Vector128.MinNative(v, Vector128.Shuffle(v, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MinNative(v, Vector128.Shuffle(v, Vector128.Create(1, 0, 3, 2)))[0];
    }
}
