using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The end of every generated kernel: int32 accumulators to 8-bit outputs by a <see cref="RequantizationForm"/>. The one place where machine
/// code requantizes; equal to the scalar rule bit for bit.</summary>
/// <param name="v">Receives the instructions, and says how wide vectors are.</param>
/// <param name="form">Which steps there are.</param>
/// <param name="pointer">With <paramref name="constants"/>, a displacement in bytes: where <see cref="WriteConstants"/> has put its numbers.</param>
/// <param name="constants"><inheritdoc cref="RequantizationCode" path="/param[@name='pointer']"/></param>
internal sealed class RequantizationCode(VectorAssembler v, FormShape form, AssemblerRegister64 pointer, int constants)
{
    /// <summary>Bytes of the constants: factor, upper limit, zero point as float, as two words, floor and ceiling as four bytes; then the orders of packed quads,
    /// in 256 and in 512 bits.</summary>
    public const int ConstantBytes = 64 + 64;

    private const int FactorAt = 0, HighAt = 4, ZeroFloatAt = 8, ZeroWordsAt = 12, FloorAt = 16, CeilingAt = 20, NarrowOrderAt = 32, WideOrderAt = 64;

    private const int Group = 7;

    /// <summary>Registers that <see cref="Convert"/> uses beside the accumulators.</summary>
    public const int Spares = 4;

    /// <summary>True if no number of the formula, nor any product with an int32, is infinite or NaN (the code's limits do not treat NaN as the scalar
    /// rule does).</summary>
    public static bool Takes(RequantizationForm form) =>
        new[] { form.FusedBias, form.FusedFactor, form.AddBefore, form.Multiplier, form.AddAfter }.All(numbers => numbers is null || Array.TrueForAll(numbers, v => MathF.Abs(v) < 1e28f))
        && MathF.Abs(form.Factor ?? 1f) < 1e9f;

    /// <summary>Per-channel arrays: start values of the accumulators, then the formula's numbers.</summary>
    public static int PerChannelArrays(FormShape form) => 2 + (form.Fused ? 2 : 0) + (form.AddBefore ? 1 : 0) + (form.AddAfter ? 1 : 0);

    /// <summary>The index of the multiplier among the per-channel arrays.</summary>
    public static int MultiplierArray(FormShape form) => 1 + (form.Fused ? 2 : 0) + (form.AddBefore ? 1 : 0);

    /// <summary>Whether outputs that are added to others stay floats, which rounds and limits them in fewer steps. Not where a float out of range has to become the smallest int32.</summary>
    private static bool SumsFloats(FormShape form) => form.Tail != RequantizationTail.RoundClampAdd || form.Bounded;

    private bool AddsBetweenPacks => form.Tail != RequantizationTail.AddClampRound;

    /// <summary>Writes the per-channel arrays for lanes of any order, array by array.</summary>
    /// <param name="form">The formula.</param>
    /// <param name="start">Start value per output channel.</param>
    /// <param name="channels">The channel of each lane; lanes with a channel that does not exist get zeros.</param>
    /// <param name="to">Receives <see cref="PerChannelArrays"/> times as many numbers of four bytes.</param>
    public static unsafe void WriteChannels(RequantizationForm form, int[] start, ReadOnlySpan<int> channels, byte* to)
    {
        int* ints = (int*)to;
        float* floats = (float*)to;
        int at = 0;
        foreach (int channel in channels)
            ints[at++] = channel < start.Length ? start[channel] : 0;
        foreach (float[]? numbers in new[] { form.FusedBias, form.FusedFactor, form.AddBefore, form.Multiplier, form.AddAfter })
        {
            if (numbers is null)
                continue;
            foreach (int channel in channels)
                floats[at++] = channel < numbers.Length ? numbers[channel] : 0;
        }
    }

    /// <summary>Writes the constants of a formula.</summary>
    public static unsafe void WriteConstants(RequantizationForm form, byte* to)
    {
        float* floats = (float*)to;
        int* ints = (int*)to;
        floats[FactorAt / 4] = form.Factor ?? 1f;
        floats[HighAt / 4] = form.Tail == RequantizationTail.ClampRoundAdd ? form.High - form.ZeroPoint : form.High;
        floats[ZeroFloatAt / 4] = form.ZeroPoint;
        ints[ZeroWordsAt / 4] = unchecked((ushort)form.ZeroPoint * 0x10001);
        ints[FloorAt / 4] = unchecked((byte)form.Low * 0x01010101);
        ints[CeilingAt / 4] = unchecked((byte)form.High * 0x01010101);
        // Quad L of accumulator a lies at 4 L + a, and belongs at (lanes / 4) a + L.
        for (int quad = 0; quad < 16; quad++)
            ints[WideOrderAt / 4 + quad] = quad % 4 * 4 + quad / 4;
        for (int quad = 0; quad < 8; quad++)
            ints[NarrowOrderAt / 4 + quad] = quad % 2 * 4 + quad / 2;
    }

    /// <summary>Accumulators to rounded int32, in place; or to what <see cref="Add"/> takes.</summary>
    /// <param name="blocks">Register numbers; those of a block share their per-channel numbers.</param>
    /// <param name="parameter">A per-channel array (1 and up; 0 are the start values) for a block.</param>
    /// <param name="spare"><see cref="Spares"/> register numbers that are free.</param>
    /// <param name="adds"><see cref="Add"/> follows.</param>
    public void Convert(int[][] blocks, Func<int, int, Parameter> parameter, ReadOnlySpan<int> spare, bool adds = false)
    {
        int numbers = spare[0], factor = spare[1], zero = spare[2], high = spare[3];
        // Only the upper limit as float: below, the conversion and the saturating packs do the same; above 2^31 the conversion would not.
        bool floats = adds && SumsFloats(form), limits = form.Tail != RequantizationTail.RoundClampAdd && !form.Bounded && !floats;
        if (form.Factor)
            v.vbroadcastss(factor, Dword(FactorAt));
        if (form.Tail == RequantizationTail.AddClampRound)
            v.vbroadcastss(zero, Dword(ZeroFloatAt));
        if (limits)
            v.vbroadcastss(high, Dword(HighAt));
        // Step by step over a handful of accumulators, so that neighbouring instructions do not wait for each other.
        foreach ((int Register, int Block)[] group in blocks.SelectMany((b, i) => b.Select(register => (register, i))).Chunk(Group))
        {
            int array = 1;
            Each(r => v.vcvtdq2ps(r, r));
            if (form.Fused)
            {
                int bias = array++, biasFactor = array++;
                int loaded = -1;
                foreach ((int register, int block) in group)
                {
                    if (block != loaded)
                        v.vmovups(numbers, parameter(bias, block).Memory);
                    loaded = block;
                    v.vfmadd231ps(register, numbers, parameter(biasFactor, block).Memory);
                }
            }
            if (form.AddBefore)
                EachWith(array++, v.vaddps, v.vaddps);
            EachWith(array++, v.vmulps, v.vmulps);
            if (form.AddAfter)
                EachWith(array, v.vaddps, v.vaddps);
            if (form.Factor)
                Each(r => v.vmulps(r, r, factor));
            if (form.Tail == RequantizationTail.AddClampRound)
                Each(r => v.vaddps(r, r, zero));
            if (limits)
                Each(r => v.vminps(r, r, high));
            Each(r =>
            {
                if (floats)
                    v.vroundps(r, r);
                else
                    v.vcvtps2dq(r, r);
            });

            // Numbers of a block with several accumulators here are loaded once; those of a single one are an operand in memory.
            void EachWith(int index, Action<int, int, int> byRegister, Action<int, int, AssemblerMemoryOperand> byMemory)
            {
                foreach (var block in group.GroupBy(g => g.Block))
                {
                    Parameter p = parameter(index, block.Key);
                    int[] registers = [.. block.Select(g => g.Register)];
                    if (p.Register is null && registers.Length == 1)
                    {
                        byMemory(registers[0], registers[0], p.Memory);
                        continue;
                    }
                    if (p.Register is null)
                        v.vmovups(numbers, p.Memory);
                    foreach (int r in registers)
                        byRegister(r, r, p.Register ?? numbers);
                }
            }

            void Each(Action<int> step)
            {
                foreach ((int register, _) in group)
                    step(register);
            }
        }
    }

    /// <summary>Writes the numbers of a sum that <see cref="Add"/> reads.</summary>
    /// <param name="form">The formula whose results are added.</param>
    /// <param name="shape">Its steps.</param>
    /// <param name="rule">A sum by ratios; its first operand is the formula's result.</param>
    public static unsafe ConvSumNumbers SumNumbers(RequantizationForm form, FormShape shape, in BinaryRule rule)
    {
        bool floats = SumsFloats(shape);
        int zero = form.Tail == RequantizationTail.AddClampRound ? 0 : form.ZeroPoint;
        ConvSumNumbers numbers = default;
        for (int lane = 0; lane < ConvSumNumbers.Copies; lane++)
        {
            numbers.Low[lane] = Bits(form.Low - zero);
            numbers.High[lane] = Bits(form.High - zero);
            numbers.Zero[lane] = Bits(zero);
            numbers.Ratio[lane] = rule.ScaleX;
            numbers.OtherRatio[lane] = rule.ScaleY;
            numbers.Constant[lane] = rule.Constant;
        }
        return numbers;

        int Bits(int number) => floats ? BitConverter.SingleToInt32Bits(number) : number;
    }

    /// <summary>What <see cref="Convert"/> left, limited to 8 bits, to sums with other 8-bit integers as rounded int32, in place.</summary>
    /// <param name="sums">Register numbers, and what widens the integers that go with each into a register.</param>
    /// <param name="sum">Which steps the sum has.</param>
    /// <param name="numbers">Points to the <see cref="ConvSumNumbers"/>.</param>
    /// <param name="spare"><see cref="Spares"/> register numbers that are free.</param>
    public void Add(IEnumerable<(int Register, Action<int> LoadOther)> sums, SumShape sum, AssemblerRegister64 numbers, ReadOnlySpan<int> spare)
    {
        AssemblerMemoryOperand All(int at) => v.Replicated(numbers + at);
        int ratio = spare[0], constant = spare[1];
        int[] others = [spare[2], spare[3]];
        v.vbroadcastss(ratio, __dword_ptr[numbers + (sum.ConvIsInner ? ConvSumNumbers.RatioAt : ConvSumNumbers.OtherRatioAt)]);
        v.vbroadcastss(constant, __dword_ptr[numbers + ConvSumNumbers.ConstantAt]);
        foreach ((int Register, Action<int> LoadOther)[] group in sums.Chunk(others.Length))
        {
            for (int i = 0; i < group.Length; i++)
                group[i].LoadOther(others[i]);
            if (SumsFloats(form))
            {
                Each((r, other) => v.vminps(r, r, All(ConvSumNumbers.HighAt)));
                Each((r, other) => v.vcvtdq2ps(other, other));
                Each((r, other) => v.vmaxps(r, r, All(ConvSumNumbers.LowAt)));
                if (AddsBetweenPacks)
                    Each((r, other) => v.vaddps(r, r, All(ConvSumNumbers.ZeroAt)));
            }
            else
            {
                Each((r, other) => v.vpminsd(r, r, All(ConvSumNumbers.HighAt)));
                Each((r, other) => v.vcvtdq2ps(other, other));
                Each((r, other) => v.vpmaxsd(r, r, All(ConvSumNumbers.LowAt)));
                if (AddsBetweenPacks)
                    Each((r, other) => v.vpaddd(r, r, All(ConvSumNumbers.ZeroAt)));
                Each((r, other) => v.vcvtdq2ps(r, r));
            }
            if (sum.ConvIsInner)
            {
                Each((r, other) => v.vfmadd213ps(r, ratio, constant));
                Each((r, other) => v.vfmadd231ps(r, other, All(ConvSumNumbers.OtherRatioAt)));
            }
            else
            {
                Each((r, other) => v.vfmadd213ps(other, ratio, constant));
                Each((r, other) => v.vfmadd132ps(r, other, All(ConvSumNumbers.RatioAt)));
            }
            Each((r, other) => v.vcvtps2dq(r, r));

            void Each(Action<int, int> step)
            {
                for (int i = 0; i < group.Length; i++)
                    step(group[i].Register, others[i]);
            }
        }
    }

    /// <summary>Loads what <see cref="Pack"/> wants into registers: zero point, floor.</summary>
    public void LoadPackConstants(int zero, int floor)
    {
        if (AddsBetweenPacks)
            v.vpbroadcastd(zero, Dword(ZeroWordsAt));
        if (form.Floor)
            v.vpbroadcastd(floor, Dword(FloorAt));
    }

    /// <summary>Loads the order in which VPERMD brings the four quads of each of four packed accumulators together.</summary>
    public void LoadOrder(int order) => v.vmovdqu(order, v.Memory(pointer + (constants + (v.Lanes == 16 ? WideOrderAt : NarrowOrderAt))));

    /// <summary>Four vectors of int32 to one of bytes, in the first one's register: int32 to int16 and int16 to 8 bits, both saturating, the zero
    /// point added in between. Packing works within 128-bit lanes: lane L of the result holds quad L of each of the four.</summary>
    /// <param name="four">Register numbers. The third and fourth may be any that exist where only two count.</param>
    /// <param name="spare">Receives the packed third and fourth.</param>
    /// <param name="zero">Holds the zero point.</param>
    /// <param name="floor">Holds the floor.</param>
    /// <param name="sums">They are sums that <see cref="Add"/> has made, in which the zero point is: only to be saturated.</param>
    public void Pack(ReadOnlySpan<int> four, int spare, int zero, int floor, bool sums = false)
    {
        int low = four[0], high = spare;
        v.vpackssdw(high, four[2], four[3]);
        v.vpackssdw(low, low, four[1]);
        if (AddsBetweenPacks && !sums)
        {
            v.vpaddsw(low, low, zero);
            v.vpaddsw(high, high, zero);
        }
        if (form.Signed)
            v.vpacksswb(low, low, high);
        else
            v.vpackuswb(low, low, high);
        if (sums)
            return;
        if (form.Floor && form.Signed)
            v.vpmaxsb(low, low, floor);
        else if (form.Floor)
            v.vpmaxub(low, low, floor);
        if (!form.Ceiling)
            return;
        v.vpbroadcastd(high, Dword(CeilingAt));
        if (form.Signed)
            v.vpminsb(low, low, high);
        else
            v.vpminub(low, low, high);
    }

    private AssemblerMemoryOperand Dword(int at) => __dword_ptr[pointer + (constants + at)];

    /// <summary>Where a register's per-channel numbers are.</summary>
    /// <param name="Memory">Always there.</param>
    /// <param name="Register">And in this register, if any.</param>
    internal readonly record struct Parameter(AssemblerMemoryOperand Memory, int? Register = null);
}

/// <summary>The numbers of a sum by ratios behind a convolution, in as many copies as an AVX2 operand in memory needs.</summary>
[StructLayout(LayoutKind.Explicit)]
internal unsafe struct ConvSumNumbers
{
    public const int Copies = 8;

    public const int LowAt = 0, HighAt = 32, ZeroAt = 64, RatioAt = 96, OtherRatioAt = 128, ConstantAt = 160, DistanceAt = 192;

    /// <summary>Limits of the convolution's outputs, before its zero point is added: int32, or the bits of floats where outputs stay floats.</summary>
    [FieldOffset(LowAt)]
    public fixed int Low[Copies];

    /// <inheritdoc cref="Low"/>
    [FieldOffset(HighAt)]
    public fixed int High[Copies];

    /// <summary>What is then added, likewise.</summary>
    [FieldOffset(ZeroAt)]
    public fixed int Zero[Copies];

    /// <summary>Scale of the convolution's outputs over the sum's.</summary>
    [FieldOffset(RatioAt)]
    public fixed float Ratio[Copies];

    /// <summary>The same of what is added.</summary>
    [FieldOffset(OtherRatioAt)]
    public fixed float OtherRatio[Copies];

    /// <summary>All zero points.</summary>
    [FieldOffset(ConstantAt)]
    public fixed float Constant[Copies];

    /// <summary>Bytes from an output to what is added to it.</summary>
    [FieldOffset(DistanceAt)]
    public long Distance;
}
