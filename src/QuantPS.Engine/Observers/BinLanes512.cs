using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Observers;

/// <summary>Sixteen lanes of AVX-512, which has an instruction that lays some of them side by side.</summary>
internal struct BinLanes512 : IBinLanes<BinLanes512>
{
    private Vector512<float> first, perUnit, sign, low, high;
    private Vector512<int> fraction;
    private Vector512<uint> end;
    private Vector128<int> shift;

    public static int Count => Vector512<float>.Count;

    public readonly ValueRange Range => new(BinLanes256.Smallest(Vector256.MinNative(low.GetLower(), low.GetUpper())), -BinLanes256.Smallest(-Vector256.MaxNative(high.GetLower(), high.GetUpper())));

    public static BinLanes512 Create(in EvenEdges edges, bool absolute) => new()
    {
        first = Vector512.Create(edges.First),
        perUnit = Vector512.Create(edges.PerUnit * (1 << edges.ClearBits)),
        sign = absolute ? Vector512.Create(-0f) : Vector512<float>.Zero,
        low = Vector512.Create(float.PositiveInfinity),
        high = Vector512.Create(float.NegativeInfinity),
        fraction = Vector512.Create((1 << edges.ClearBits) - 1),
        end = Vector512.Create((uint)edges.Even << edges.ClearBits),
        shift = Vector128.CreateScalar(edges.ClearBits),
    };

    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (int Clear, int Unclear) Split(ref float x, int length, ref int bins, ref float unclear)
    {
        // In registers: what is written through references might be the fields.
        (Vector512<float> first, Vector512<float> perUnit, Vector512<float> sign, Vector512<float> low, Vector512<float> high) = (this.first, this.perUnit, this.sign, this.low, this.high);
        (Vector512<int> fraction, Vector512<uint> end, Vector128<int> shift) = (this.fraction, this.end, this.shift);
        int n = 0, others = 0;
        for (int i = 0; i < length; i += Count)
        {
            Vector512<float> raw = Vector512.LoadUnsafe(ref x, (nuint)i), v = Vector512.AndNot(raw, sign);
            low = Vector512.MinNative(raw, low);
            high = Vector512.MaxNative(raw, high);
            Vector512<int> position = Avx512F.ConvertToVector512Int32((v - first) * perUnit);
            Vector512<int> isClear = ~Vector512.Equals(position & fraction, Vector512<int>.Zero) & Vector512.LessThan(position.AsUInt32(), end).AsInt32();
            Avx512F.Compress(Vector512<int>.Zero, isClear, Avx512F.ShiftRightLogical(position, shift)).StoreUnsafe(ref bins, (nuint)n);
            ulong clear = isClear.ExtractMostSignificantBits();
            n += BitOperations.PopCount(clear);
            ulong other = ~(clear | Vector512.Equals(v, Vector512<float>.Zero).ExtractMostSignificantBits()) & 0xFFFF;
            if (other == 0)
                continue;
            Avx512F.Compress(Vector512<float>.Zero, ~(isClear.AsSingle() | Vector512.Equals(v, Vector512<float>.Zero)), v).StoreUnsafe(ref unclear, (nuint)others);
            others += BitOperations.PopCount(other);
        }
        (this.low, this.high) = (low, high);
        return (n, others);
    }
}
