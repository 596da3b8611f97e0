using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Observers;

/// <summary>Eight lanes of AVX2: a table has, for each set of lanes, the permutation that lays them side by side.</summary>
internal struct BinLanes256 : IBinLanes<BinLanes256>
{
    /// <summary>For each mask of eight lanes the indices of those that are set, a byte each, lowest first.</summary>
    private static readonly ulong[] Orders = [.. Enumerable.Range(0, 256).Select(mask =>
        Enumerable.Range(0, 8).Where(lane => (mask >> lane & 1) != 0).Select((lane, at) => (ulong)lane << 8 * at).Aggregate(0UL, (a, b) => a | b))];

    private Vector256<float> first, perUnit, sign, low, high;
    private Vector256<int> fraction, end;
    private Vector128<int> shift;

    public static int Count => Vector256<float>.Count;

    public readonly ValueRange Range => new(Smallest(low), -Smallest(-high));

    public static BinLanes256 Create(in EvenEdges edges, bool absolute) => new()
    {
        first = Vector256.Create(edges.First),
        perUnit = Vector256.Create(edges.PerUnit * (1 << edges.ClearBits)),
        sign = absolute ? Vector256.Create(-0f) : Vector256<float>.Zero,
        low = Vector256.Create(float.PositiveInfinity),
        high = Vector256.Create(float.NegativeInfinity),
        fraction = Vector256.Create(int.MinValue | (1 << edges.ClearBits) - 1),
        end = Vector256.Create(edges.Even << edges.ClearBits),
        shift = Vector128.CreateScalar(edges.ClearBits),
    };

    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (int Clear, int Unclear) Split(ref float x, int length, ref int bins, ref float unclear)
    {
        ref ulong orders = ref MemoryMarshal.GetArrayDataReference(Orders);
        // In registers: what is written through references might be the fields.
        (Vector256<float> first, Vector256<float> perUnit, Vector256<float> sign, Vector256<float> low, Vector256<float> high) = (this.first, this.perUnit, this.sign, this.low, this.high);
        (Vector256<int> fraction, Vector256<int> end, Vector128<int> shift) = (this.fraction, this.end, this.shift);
        nint n = 0, others = 0;
        for (nint i = 0; i < length; i += Count)
        {
            Vector256<float> raw = Vector256.LoadUnsafe(ref x, (nuint)i), v = Vector256.AndNot(raw, sign);
            low = Vector256.MinNative(raw, low);
            high = Vector256.MaxNative(raw, high);
            Vector256<int> position = Avx.ConvertToVector256Int32((v - first) * perUnit);
            // AVX2 compares signed numbers only. The sign stays beside the fraction, so that what is below the first edge or not a number is not above zero.
            Vector256<int> isClear = Vector256.GreaterThan(position & fraction, Vector256<int>.Zero) & Vector256.GreaterThan(end, position);
            uint clear = isClear.ExtractMostSignificantBits();
            Avx2.PermuteVar8x32(Avx2.ShiftRightLogical(position, shift), Order(ref orders, clear)).StoreUnsafe(ref bins, (nuint)n);
            n += BitOperations.PopCount(clear);
            uint known = (isClear.AsSingle() | Vector256.Equals(v, Vector256<float>.Zero)).ExtractMostSignificantBits();
            if (known == 0xFF)
                continue;
            uint other = known ^ 0xFF;
            Avx2.PermuteVar8x32(v, Order(ref orders, other)).StoreUnsafe(ref unclear, (nuint)others);
            others += BitOperations.PopCount(other);
        }
        (this.low, this.high) = (low, high);
        return ((int)n, (int)others);
    }

    internal static float Smallest(Vector256<float> v) => BinLanes128.Smallest(Vector128.MinNative(v.GetLower(), v.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Order(ref ulong orders, uint mask) => Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(Unsafe.Add(ref orders, mask)).AsByte());
}
