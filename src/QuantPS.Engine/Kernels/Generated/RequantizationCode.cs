using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The end of every generated kernel: int32 accumulators to 8-bit outputs by a <see cref="RequantizationForm"/>. The one place where machine
/// code requantizes; equal to the scalar rule bit for bit.</summary>
/// <param name="c">Receives the instructions.</param>
/// <param name="form">Which steps there are.</param>
/// <param name="pointer">With <paramref name="constants"/>, a displacement in bytes: where <see cref="WriteConstants"/> has put its numbers.</param>
/// <param name="constants"><inheritdoc cref="RequantizationCode" path="/param[@name='pointer']"/></param>
internal sealed class RequantizationCode(Assembler c, FormShape form, AssemblerRegister64 pointer, int constants)
{
    /// <summary>Bytes of the constants: factor, upper limit, zero point as float, as two words, floor as four bytes; then the order of packed quads.</summary>
    public const int ConstantBytes = 64 + 64;

    private const int FactorAt = 0, HighAt = 4, ZeroFloatAt = 8, ZeroWordsAt = 12, FloorAt = 16, OrderAt = 64;

    private const int Group = 7;

    /// <summary>Registers that <see cref="Convert"/> uses beside the accumulators.</summary>
    public const int Spares = 4;

    /// <summary>True if no number of the formula, nor any product with an int32, is infinite or NaN (the code's limits do not treat NaN as the scalar
    /// rule does), and if the output is a whole 8-bit dtype from above.</summary>
    public static bool Takes(RequantizationForm form) =>
        new[] { form.FusedBias, form.FusedFactor, form.AddBefore, form.Multiplier, form.AddAfter }.All(numbers => numbers is null || Array.TrueForAll(numbers, v => MathF.Abs(v) < 1e28f))
        && MathF.Abs(form.Factor ?? 1f) < 1e9f && (form.High, form.Low >= 0) is (byte.MaxValue, true) or (sbyte.MaxValue, _);

    /// <summary>Per-channel arrays: start values of the accumulators, then the formula's numbers.</summary>
    public static int PerChannelArrays(FormShape form) => 2 + (form.Fused ? 2 : 0) + (form.AddBefore ? 1 : 0) + (form.AddAfter ? 1 : 0);

    /// <summary>The index of the multiplier among the per-channel arrays.</summary>
    public static int MultiplierArray(FormShape form) => 1 + (form.Fused ? 2 : 0) + (form.AddBefore ? 1 : 0);

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
        for (int quad = 0; quad < 16; quad++)
            ints[OrderAt / 4 + quad] = quad % 4 * 4 + quad / 4;
    }

    /// <summary>Accumulators to rounded int32, in place.</summary>
    /// <param name="blocks">Register numbers; those of a block share their per-channel numbers.</param>
    /// <param name="parameter">A per-channel array (1 and up; 0 are the start values) for a block.</param>
    /// <param name="spare"><see cref="Spares"/> register numbers that are free.</param>
    public void Convert(int[][] blocks, Func<int, int, Parameter> parameter, ReadOnlySpan<int> spare)
    {
        AssemblerRegisterZMM numbers = ZmmRegisters.Zmm(spare[0]), factor = ZmmRegisters.Zmm(spare[1]), zero = ZmmRegisters.Zmm(spare[2]), high = ZmmRegisters.Zmm(spare[3]);
        // Only the upper limit as float: below, the conversion and the saturating packs do the same; above 2^31 the conversion would not.
        bool limits = form.Tail != RequantizationTail.RoundClampAdd && !form.Bounded;
        if (form.Factor)
            c.vbroadcastss(factor, Dword(FactorAt));
        if (form.Tail == RequantizationTail.AddClampRound)
            c.vbroadcastss(zero, Dword(ZeroFloatAt));
        if (limits)
            c.vbroadcastss(high, Dword(HighAt));
        // Step by step over a handful of accumulators, so that neighbouring instructions do not wait for each other.
        foreach ((int Register, int Block)[] group in blocks.SelectMany((b, i) => b.Select(register => (register, i))).Chunk(Group))
        {
            int array = 1;
            Each(v => c.vcvtdq2ps(v, v));
            if (form.Fused)
            {
                int bias = array++, biasFactor = array++;
                int loaded = -1;
                foreach ((int register, int block) in group)
                {
                    if (block != loaded)
                        c.vmovups(numbers, parameter(bias, block).Memory);
                    loaded = block;
                    c.vfmadd231ps(ZmmRegisters.Zmm(register), numbers, parameter(biasFactor, block).Memory);
                }
            }
            if (form.AddBefore)
                EachWith(array++, c.vaddps, c.vaddps);
            EachWith(array++, c.vmulps, c.vmulps);
            if (form.AddAfter)
                EachWith(array, c.vaddps, c.vaddps);
            if (form.Factor)
                Each(v => c.vmulps(v, v, factor));
            if (form.Tail == RequantizationTail.AddClampRound)
                Each(v => c.vaddps(v, v, zero));
            if (limits)
                Each(v => c.vminps(v, v, high));
            Each(v => c.vcvtps2dq(v, v));

            // Numbers of a block with several accumulators here are loaded once; those of a single one are an operand in memory.
            void EachWith(int index, Action<AssemblerRegisterZMM, AssemblerRegisterZMM, AssemblerRegisterZMM> byRegister, Action<AssemblerRegisterZMM, AssemblerRegisterZMM, AssemblerMemoryOperand> byMemory)
            {
                foreach (var block in group.GroupBy(g => g.Block))
                {
                    Parameter p = parameter(index, block.Key);
                    AssemblerRegisterZMM[] registers = [.. block.Select(g => ZmmRegisters.Zmm(g.Register))];
                    if (p.Register is null && registers.Length == 1)
                    {
                        byMemory(registers[0], registers[0], p.Memory);
                        continue;
                    }
                    if (p.Register is null)
                        c.vmovups(numbers, p.Memory);
                    foreach (AssemblerRegisterZMM v in registers)
                        byRegister(v, v, p.Register is { } kept ? ZmmRegisters.Zmm(kept) : numbers);
                }
            }

            void Each(Action<AssemblerRegisterZMM> step)
            {
                foreach ((int register, _) in group)
                    step(ZmmRegisters.Zmm(register));
            }
        }
    }

    /// <summary>Writes the numbers of a sum that <see cref="Add"/> reads.</summary>
    /// <param name="form">The formula whose results are added.</param>
    /// <param name="rule">A sum by ratios; its first operand is the formula's result.</param>
    public static ConvSumNumbers SumNumbers(RequantizationForm form, in BinaryRule rule)
    {
        int zero = form.Tail == RequantizationTail.AddClampRound ? 0 : form.ZeroPoint;
        return new ConvSumNumbers { Low = form.Low - zero, High = form.High - zero, Zero = zero, Ratio = rule.ScaleX, OtherRatio = rule.ScaleY, Constant = rule.Constant };
    }

    /// <summary>What <see cref="Convert"/> left, limited to 8 bits, to sums with other 8-bit integers as rounded int32, in place.</summary>
    /// <param name="sums">Register numbers and the 16 bytes that go with each; of a partial block those that k2 names.</param>
    /// <param name="sum">Which steps the sum has.</param>
    /// <param name="numbers">Points to the <see cref="ConvSumNumbers"/>.</param>
    /// <param name="spare"><see cref="Spares"/> register numbers that are free.</param>
    public void Add(IEnumerable<(int Register, AssemblerMemoryOperand Other, bool Partial)> sums, SumShape sum, AssemblerRegister64 numbers, ReadOnlySpan<int> spare)
    {
        AssemblerMemoryOperand All(string field) => __dword_bcst[numbers + (int)Marshal.OffsetOf<ConvSumNumbers>(field)];
        AssemblerRegisterZMM ratio = ZmmRegisters.Zmm(spare[0]), constant = ZmmRegisters.Zmm(spare[1]);
        AssemblerRegisterZMM[] others = [ZmmRegisters.Zmm(spare[2]), ZmmRegisters.Zmm(spare[3])];
        c.vbroadcastss(ratio, __dword_ptr[numbers + (int)Marshal.OffsetOf<ConvSumNumbers>(sum.ConvIsInner ? nameof(ConvSumNumbers.Ratio) : nameof(ConvSumNumbers.OtherRatio))]);
        c.vbroadcastss(constant, __dword_ptr[numbers + (int)Marshal.OffsetOf<ConvSumNumbers>(nameof(ConvSumNumbers.Constant))]);
        foreach ((int Register, AssemblerMemoryOperand Other, bool Partial)[] group in sums.Chunk(others.Length))
        {
            for (int i = 0; i < group.Length; i++)
            {
                AssemblerRegisterZMM to = group[i].Partial ? others[i].k2.z : others[i];
                if (sum.Signed)
                    c.vpmovsxbd(to, group[i].Other);
                else
                    c.vpmovzxbd(to, group[i].Other);
            }
            Each((v, other) => c.vpminsd(v, v, All(nameof(ConvSumNumbers.High))));
            Each((v, other) => c.vcvtdq2ps(other, other));
            Each((v, other) => c.vpmaxsd(v, v, All(nameof(ConvSumNumbers.Low))));
            if (AddsBetweenPacks)
                Each((v, other) => c.vpaddd(v, v, All(nameof(ConvSumNumbers.Zero))));
            Each((v, other) => c.vcvtdq2ps(v, v));
            if (sum.ConvIsInner)
            {
                Each((v, other) => c.vfmadd213ps(v, ratio, constant));
                Each((v, other) => c.vfmadd231ps(v, other, All(nameof(ConvSumNumbers.OtherRatio))));
            }
            else
            {
                Each((v, other) => c.vfmadd213ps(other, ratio, constant));
                Each((v, other) => c.vfmadd132ps(v, other, All(nameof(ConvSumNumbers.Ratio))));
            }
            Each((v, other) => c.vcvtps2dq(v, v));

            void Each(Action<AssemblerRegisterZMM, AssemblerRegisterZMM> step)
            {
                for (int i = 0; i < group.Length; i++)
                    step(ZmmRegisters.Zmm(group[i].Register), others[i]);
            }
        }
    }

    /// <summary>Loads what <see cref="Pack"/> wants into registers: zero point, floor.</summary>
    public void LoadPackConstants(int zero, int floor)
    {
        if (AddsBetweenPacks)
            c.vpbroadcastd(ZmmRegisters.Zmm(zero), Dword(ZeroWordsAt));
        if (form.Floor)
            c.vpbroadcastd(ZmmRegisters.Zmm(floor), Dword(FloorAt));
    }

    /// <summary>Loads the order in which VPERMD brings the four quads of each of four packed accumulators together.</summary>
    public void LoadOrder(int order) => c.vmovdqu32(ZmmRegisters.Zmm(order), __zmmword_ptr[pointer + (constants + OrderAt)]);

    /// <summary>Four vectors of 16 int32 to one of 64 bytes, in the first one's register: int32 to int16 and int16 to 8 bits, both saturating, the zero
    /// point added in between. Packing works within 128-bit lanes: lane L of the result holds quad L of each of the four.</summary>
    /// <param name="four">Register numbers. The third and fourth may be any that exist where only two count.</param>
    /// <param name="spare">Receives the packed third and fourth.</param>
    /// <param name="zero">Holds the zero point.</param>
    /// <param name="floor">Holds the floor.</param>
    /// <param name="sums">They are sums that <see cref="Add"/> has made, in which the zero point is: only to be saturated.</param>
    public void Pack(ReadOnlySpan<int> four, int spare, int zero, int floor, bool sums = false)
    {
        AssemblerRegisterZMM low = ZmmRegisters.Zmm(four[0]), high = ZmmRegisters.Zmm(spare);
        c.vpackssdw(high, ZmmRegisters.Zmm(four[2]), ZmmRegisters.Zmm(four[3]));
        c.vpackssdw(low, low, ZmmRegisters.Zmm(four[1]));
        if (AddsBetweenPacks && !sums)
        {
            c.vpaddsw(low, low, ZmmRegisters.Zmm(zero));
            c.vpaddsw(high, high, ZmmRegisters.Zmm(zero));
        }
        if (form.Signed)
            c.vpacksswb(low, low, high);
        else
            c.vpackuswb(low, low, high);
        if (sums)
            return;
        if (form.Floor && form.Signed)
            c.vpmaxsb(low, low, ZmmRegisters.Zmm(floor));
        else if (form.Floor)
            c.vpmaxub(low, low, ZmmRegisters.Zmm(floor));
    }

    private AssemblerMemoryOperand Dword(int at) => __dword_ptr[pointer + (constants + at)];

    /// <summary>Where 16 per-channel numbers are.</summary>
    /// <param name="Memory">Always there.</param>
    /// <param name="Register">And in this register, if any.</param>
    internal readonly record struct Parameter(AssemblerMemoryOperand Memory, int? Register = null);
}

/// <summary>The numbers of a sum by ratios behind a convolution.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ConvSumNumbers
{
    /// <summary>Limits of the convolution's outputs, before its zero point is added.</summary>
    public int Low, High;

    /// <summary>What is then added.</summary>
    public int Zero;

    /// <summary>Scale of the convolution's outputs over the sum's.</summary>
    public float Ratio;

    /// <summary>The same of what is added.</summary>
    public float OtherRatio;

    /// <summary>All zero points.</summary>
    public float Constant;

    /// <summary>Bytes from an output to what is added to it.</summary>
    public long Distance;
}
