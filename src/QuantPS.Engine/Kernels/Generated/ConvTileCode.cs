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

    private const int ConstantBytes = 64;

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
        switch (form.Tail)
        {
            case RequantizationTail.RoundClampAdd:
                ints[at + 1] = form.Low - form.ZeroPoint;
                ints[at + 2] = form.High - form.ZeroPoint;
                ints[at + 3] = form.ZeroPoint;
                break;
            case RequantizationTail.ClampRoundAdd:
                floats[at + 1] = form.Low - form.ZeroPoint;
                floats[at + 2] = form.High - form.ZeroPoint;
                ints[at + 3] = form.ZeroPoint;
                break;
            default:
                floats[at + 1] = form.Low;
                floats[at + 2] = form.High;
                floats[at + 3] = form.ZeroPoint;
                break;
        }
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
                c.mov(eax, (1 << spec.LastBlockChannels) - 1);
                c.kmovw(k1, eax);
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
            // Step by step over a handful of accumulators, so that neighbouring instructions do not wait for each other.
            const int group = 7;
            for (int first = 0; first < pixels * blocks; first += group)
            {
                int count = Math.Min(group, pixels * blocks - first);
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
                switch (form.Tail)
                {
                    case RequantizationTail.RoundClampAdd:
                        Each(v => c.vcvtps2dq(v, v));
                        Each(v => c.vpmaxsd(v, v, Constant(1)));
                        Each(v => c.vpminsd(v, v, Constant(2)));
                        Each(v => c.vpaddd(v, v, Constant(3)));
                        break;
                    case RequantizationTail.ClampRoundAdd:
                        Each(v => c.vmaxps(v, v, Constant(1)));
                        Each(v => c.vminps(v, v, Constant(2)));
                        Each(v => c.vcvtps2dq(v, v));
                        Each(v => c.vpaddd(v, v, Constant(3)));
                        break;
                    default:
                        Each(v => c.vaddps(v, v, Constant(3)));
                        Each(v => c.vmaxps(v, v, Constant(1)));
                        Each(v => c.vminps(v, v, Constant(2)));
                        Each(v => c.vcvtps2dq(v, v));
                        break;
                }
                for (int i = first; i < first + count; i++)
                {
                    int b = i % blocks;
                    AssemblerMemoryOperand to = __xmmword_ptr[output + (i / blocks * spec.OutputPixelStep + b * 16)];
                    // Clamped already, so dropping the upper 24 bits loses nothing, signed or not.
                    c.vpmovdb(b == blocks - 1 && spec.LastBlockChannels < 16 ? to.k1 : to, Z[i]);
                }

                void Each(Action<AssemblerRegisterZMM> step)
                {
                    for (int i = first; i < first + count; i++)
                        step(Z[i]);
                }

                void EachBlock(Action<AssemblerRegisterZMM, int> step)
                {
                    for (int i = first; i < first + count; i++)
                        step(Z[i], i % blocks);
                }
            }

            AssemblerMemoryOperand At(int index, int block) => __zmmword_ptr[parameters + (index * blocks + block) * 64];
            AssemblerMemoryOperand Constant(int index) => __dword_bcst[parameters + (constants + index * 4)];
        }
    }
}
