using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ConvTileCall
{
    /// <summary>Window of the first tile's first pixel.</summary>
    public byte* Input;

    /// <summary>Packed weights of the channel blocks: per quad and block 64 bytes, lane c holding the quad of output channel c.</summary>
    public sbyte* Weights;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula, see <see cref="ConvTileCode.ParameterBytes"/>.</summary>
    public byte* Parameters;

    /// <summary>How many tiles, at least 1.</summary>
    public long Tiles;
}

/// <summary>Machine code for a convolution tile with AVX-512 VNNI; assembled once per spec and shared.</summary>
/// <remarks>
/// Accumulator (p, b): zmm number p * blocks + b, lane c = output channel 16 b + c of pixel p. Per quad: one load of 64 weight bytes a block,
/// one broadcast of four input bytes a pixel, VPDPBUSD on every accumulator. Scalar equivalent of a lane: sum over k of x[k] * w[k], plus the
/// start value, in which bias and zero points are folded. There is no remainder in k: packed weights are zero behind the end of a run.
/// </remarks>
internal sealed unsafe class ConvTileCode
{
    /// <summary>Accumulators that fit beside two weight registers and two for broadcasts.</summary>
    public const int MostAccumulators = 28;

    // Quads handled before the loop counter is looked at: long enough to hide it, short enough for the instruction cache.
    private const int Unroll = 8;
    private static readonly ConcurrentDictionary<ConvTileSpec, WeakReference<ConvTileCode>> Cache = new();

    private readonly ExecutableMemory memory;
    private readonly delegate* unmanaged<ConvTileCall*, void> entry;

    private ConvTileCode(ExecutableMemory memory)
    {
        this.memory = memory;
        entry = (delegate* unmanaged<ConvTileCall*, void>)memory.Address;
    }

    /// <summary>The code for a spec: shared while anybody holds it, freed afterwards.</summary>
    public static ConvTileCode For(ConvTileSpec spec)
    {
        lock (Cache)
        {
            if (Cache.TryGetValue(spec, out WeakReference<ConvTileCode>? known) && known.TryGetTarget(out ConvTileCode? code))
                return code;
            foreach ((ConvTileSpec dead, WeakReference<ConvTileCode> reference) in Cache)
                if (!reference.TryGetTarget(out _))
                    Cache.TryRemove(dead, out _);
            code = new ConvTileCode(new ExecutableMemory(new Generator(spec).Assemble()));
            Cache[spec] = new(code);
            return code;
        }
    }

    /// <summary>Runs the tiles of a call.</summary>
    public void Run(ConvTileCall* call)
    {
        entry(call);
        GC.KeepAlive(memory);
    }

    /// <summary>Bytes of the parameters of one call: start values, the formula's per-channel numbers (64 bytes a block each), then its constants.</summary>
    public static int ParameterBytes(FormShape form, int blocks) => PerChannelArrays(form) * blocks * 64 + ConstantBytes;

    // Factor, upper limit, zero point as float, zero point as two words, floor as four bytes; then the permutation that sorts packed quads.
    private const int ConstantBytes = 64 + 64;

    private static int PerChannelArrays(FormShape form) => 2 + (form.Fused ? 2 : 0) + (form.AddBefore ? 1 : 0) + (form.AddAfter ? 1 : 0);

    /// <summary>Writes the parameters of the channels [first, first + 16 * blocks); channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, int[] start, int first, int blocks, byte* to)
    {
        int* ints = (int*)to;
        float* floats = (float*)to;
        int lanes = blocks * 16, at = 0;
        for (int c = 0; c < lanes; c++)
            ints[c] = first + c < start.Length ? start[first + c] : 0;
        at += lanes;
        foreach (float[]? numbers in new[] { form.FusedBias, form.FusedFactor, form.AddBefore, form.Multiplier, form.AddAfter })
        {
            if (numbers is null)
                continue;
            for (int c = 0; c < lanes; c++)
                floats[at + c] = first + c < numbers.Length ? numbers[first + c] : 0;
            at += lanes;
        }
        floats[at] = form.Factor ?? 1f;
        floats[at + 1] = form.Tail == RequantizationTail.ClampRoundAdd ? form.High - form.ZeroPoint : form.High;
        floats[at + 2] = form.ZeroPoint;
        ints[at + 3] = unchecked((ushort)form.ZeroPoint * 0x10001);
        ints[at + 4] = unchecked((byte)form.Low * 0x01010101);
        for (int quad = 0; quad < 16; quad++)
            ints[at + 16 + quad] = quad % 4 * 4 + quad / 4;
    }

    private sealed class Generator(ConvTileSpec spec)
    {
        private static readonly AssemblerRegisterZMM[] Z =
        [
            zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
            zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
        ];

        private static readonly AssemblerRegisterXMM[] SavedOnWindows = [xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

        private readonly Assembler c = new(64);
        private readonly int blocks = spec.ChannelBlocks;
        private readonly int pixels = spec.Pixels.Count;

        // rdi, rsi are kept for the caller on Windows; rcx is its first argument there.
        private readonly AssemblerRegister64 input = r8, weights = r9, output = r10, parameters = r11, tiles = rdx, x = rax, w = rcx;

        public byte[] Assemble()
        {
            bool windows = OperatingSystem.IsWindows();
            AssemblerRegister64 call = windows ? rcx : rdi;
            if (windows)
            {
                c.sub(rsp, SavedOnWindows.Length * 16 + 8);
                for (int i = 0; i < SavedOnWindows.Length; i++)
                    c.vmovups(__xmmword_ptr[rsp + i * 16], SavedOnWindows[i]);
                c.mov(__qword_ptr[rsp + SavedOnWindows.Length * 16], rsi);
            }
            c.mov(input, __qword_ptr[call]);
            c.mov(weights, __qword_ptr[call + 8]);
            c.mov(output, __qword_ptr[call + 16]);
            c.mov(parameters, __qword_ptr[call + 24]);
            c.mov(tiles, __qword_ptr[call + 32]);
            if (spec.LastBlockChannels < 16)
            {
                c.mov(eax, (int)((1L << ((blocks - 1) * 16 + spec.LastBlockChannels)) - 1));
                c.kmovd(k1, eax);
            }
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            Products();
            Requantize();
            c.add(input, spec.InputStep);
            c.add(output, pixels * spec.OutputPixelStep);
            c.dec(tiles);
            c.jnz(tile);
            c.vzeroupper();
            if (windows)
            {
                for (int i = 0; i < SavedOnWindows.Length; i++)
                    c.vmovups(SavedOnWindows[i], __xmmword_ptr[rsp + i * 16]);
                c.mov(rsi, __qword_ptr[rsp + SavedOnWindows.Length * 16]);
                c.add(rsp, SavedOnWindows.Length * 16 + 8);
            }
            c.ret();
            using MemoryStream stream = new();
            c.Assemble(new StreamCodeWriter(stream), 0);
            return stream.ToArray();
        }

        private AssemblerRegisterZMM Accumulator(int pixel, int block) => Z[pixel * blocks + block];

        private void Products()
        {
            for (int p = 0; p < pixels; p++)
                for (int b = 0; b < blocks; b++)
                    c.vmovups(Accumulator(p, b), __zmmword_ptr[parameters + b * 64]);
            c.mov(w, weights);
            for (int run = 0; run < spec.Runs.Count; run++)
            {
                c.lea(x, __qword_ptr[input + spec.Runs.Values[run]]);
                int loops = spec.RunQuads / Unroll, rest = spec.RunQuads % Unroll;
                if (loops > 1)
                {
                    c.mov(esi, loops);
                    Label loop = c.CreateLabel();
                    c.Label(ref loop);
                    Quads(Unroll);
                    c.add(x, Unroll * 4);
                    c.add(w, Unroll * blocks * 64);
                    c.dec(esi);
                    c.jnz(loop);
                }
                else if (loops == 1)
                {
                    rest += Unroll;
                }
                if (rest > 0)
                {
                    Quads(rest);
                    c.add(w, rest * blocks * 64);
                }
            }
        }

        private void Quads(int count)
        {
            int accumulators = pixels * blocks, free = Z.Length - accumulators - blocks, broadcast = 0;
            for (int q = 0; q < count; q++)
            {
                for (int b = 0; b < blocks; b++)
                    c.vmovdqu32(Z[accumulators + b], __zmmword_ptr[w + (q * blocks + b) * 64]);
                for (int p = 0; p < pixels; p++)
                {
                    AssemblerRegisterZMM v = Z[accumulators + blocks + broadcast++ % free];
                    c.vpbroadcastd(v, __dword_ptr[x + (spec.Pixels.Values[p] + q * 4)]);
                    for (int b = 0; b < blocks; b++)
                        c.vpdpbusd(Accumulator(p, b), v, Z[accumulators + b]);
                }
            }
        }

        private void Requantize()
        {
            FormShape form = spec.Form;
            int array = 1, constants = PerChannelArrays(form) * blocks * 64;
            int fused = form.Fused ? array++ : 0, fusedFactor = form.Fused ? array++ : 0, before = form.AddBefore ? array++ : 0, multiplier = array++, after = form.AddAfter ? array : 0;
            int all = pixels * blocks;
            // Step by step over a handful of accumulators, so that neighbouring instructions do not wait for each other.
            const int group = 7;
            for (int first = 0; first < all; first += group)
            {
                int end = Math.Min(all, first + group);
                Each(v => c.vcvtdq2ps(v, v));
                if (form.Fused)
                {
                    EachBlock((v, b) =>
                    {
                        c.vmovups(Z[31], At(fused, b));
                        c.vfmadd231ps(v, Z[31], At(fusedFactor, b));
                    });
                }
                if (form.AddBefore)
                    EachBlock((v, b) => c.vaddps(v, v, At(before, b)));
                EachBlock((v, b) => c.vmulps(v, v, At(multiplier, b)));
                if (form.AddAfter)
                    EachBlock((v, b) => c.vaddps(v, v, At(after, b)));
                if (form.Factor)
                    Each(v => c.vmulps(v, v, Constant(0)));
                if (form.Tail == RequantizationTail.AddClampRound)
                    Each(v => c.vaddps(v, v, Constant(2)));
                // Only the upper limit as float: below, the conversion and the saturating packs do the same; above 2^31 the conversion would not.
                if (form.Tail != RequantizationTail.RoundClampAdd)
                    Each(v => c.vminps(v, v, Constant(1)));
                Each(v => c.vcvtps2dq(v, v));

                void Each(Action<AssemblerRegisterZMM> step)
                {
                    for (int i = first; i < end; i++)
                        step(Z[i]);
                }

                void EachBlock(Action<AssemblerRegisterZMM, int> step)
                {
                    for (int i = first; i < end; i++)
                        step(Z[i], i % blocks);
                }
            }
            Pack(all, constants);

            AssemblerMemoryOperand At(int index, int block) => __zmmword_ptr[parameters + (index * blocks + block) * 64];
            AssemblerMemoryOperand Constant(int index) => __dword_bcst[parameters + (constants + index * 4)];
        }

        /// <summary>Four accumulators at a time to bytes: int32 to int16 and int16 to 8 bits, both saturating, the zero point added in between.</summary>
        /// <remarks>Packing works within 128-bit lanes: lane L of the result holds quad L of each of the four. VPERMD with the 4 x 4 transposition
        /// brings the quads of each together. With two blocks the four are two pixels of 32 channels, with one they are four pixels of 16.</remarks>
        private void Pack(int all, int constants)
        {
            AssemblerRegisterZMM order = Z[31], zero = Z[30], floor = Z[29], spare = Z[28];
            bool add = spec.Form.Tail != RequantizationTail.AddClampRound;
            c.vmovdqu32(order, __zmmword_ptr[parameters + (constants + 64)]);
            if (add)
                c.vpbroadcastd(zero, __dword_ptr[parameters + (constants + 12)]);
            if (spec.Form.Floor)
                c.vpbroadcastd(floor, __dword_ptr[parameters + (constants + 16)]);
            int pixelsAtOnce = 4 / blocks;
            for (int p = 0; p < pixels; p += pixelsAtOnce)
            {
                // Where the last four are not all there, the last accumulator stands in; its copies are not stored.
                AssemblerRegisterZMM Source(int i) => Z[Math.Min(p * blocks + i, all - 1)];
                AssemblerRegisterZMM low = Source(0);
                bool two = p * blocks + 2 < all;
                c.vpackssdw(spare, Source(2), Source(3));
                c.vpackssdw(low, low, Source(1));
                if (add)
                {
                    c.vpaddsw(low, low, zero);
                    if (two)
                        c.vpaddsw(spare, spare, zero);
                }
                if (spec.Form.Signed)
                    c.vpacksswb(low, low, spare);
                else
                    c.vpackuswb(low, low, spare);
                if (spec.Form.Floor && spec.Form.Signed)
                    c.vpmaxsb(low, low, floor);
                else if (spec.Form.Floor)
                    c.vpmaxub(low, low, floor);
                c.vpermd(low, order, low);
                for (int i = 0; i < Math.Min(pixelsAtOnce, pixels - p); i++)
                    Store(low, i, (p + i) * spec.OutputPixelStep);
            }
        }

        private void Store(AssemblerRegisterZMM packed, int part, int offset)
        {
            int index = Array.IndexOf(Z, packed);
            bool partial = spec.LastBlockChannels < 16;
            if (blocks == 2)
            {
                AssemblerRegisterYMM whole = Ymm(index), upper = Ymm(28);
                if (part == 1)
                    c.vextracti64x4(upper, packed, 1);
                AssemblerRegisterYMM from = part == 0 ? whole : upper;
                if (partial)
                    c.vmovdqu8(__ymmword_ptr[output + offset].k1, from);
                else
                    c.vmovdqu32(__ymmword_ptr[output + offset], from);
                return;
            }
            AssemblerRegisterXMM quarter = Xmm(28);
            if (part > 0)
                c.vextracti32x4(quarter, packed, (sbyte)part);
            AssemblerRegisterXMM value = part == 0 ? Xmm(index) : quarter;
            if (partial)
                c.vmovdqu8(__xmmword_ptr[output + offset].k1, value);
            else
                c.vmovdqu32(__xmmword_ptr[output + offset], value);
        }

        private static AssemblerRegisterYMM Ymm(int index) => new(Register.YMM0 + index);

        private static AssemblerRegisterXMM Xmm(int index) => new(Register.XMM0 + index);
    }
}
