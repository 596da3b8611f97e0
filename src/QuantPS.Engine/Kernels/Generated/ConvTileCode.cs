using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.ZmmRegisters;

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

/// <summary>Machine code for a convolution tile with AVX-512 VNNI.</summary>
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

    private readonly MachineCode code;

    private ConvTileCode(MachineCode code) => this.code = code;

    /// <summary>The code for a spec.</summary>
    public static ConvTileCode For(ConvTileSpec spec) => new(MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit()));

    /// <summary>Runs the tiles of a call.</summary>
    public void Run(ConvTileCall* call) => code.Run(call);

    /// <summary>Bytes of the parameters of one call: per-channel arrays of 64 bytes a block, then the constants.</summary>
    public static int ParameterBytes(FormShape form, int blocks) => RequantizationCode.PerChannelArrays(form) * blocks * 64 + RequantizationCode.ConstantBytes;

    /// <summary>Writes the parameters of the channels [first, first + 16 * blocks); channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, int blocks, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, blocks * 16)], to);
        RequantizationCode.WriteConstants(form, to + RequantizationCode.PerChannelArrays(shape) * blocks * 64);
    }

    private sealed class Generator(Assembler c, ConvTileSpec spec)
    {
        private readonly int blocks = spec.ChannelBlocks;
        private readonly int pixels = spec.Pixels.Count;
        private readonly AssemblerRegister64 input = r8, weights = r9, output = r10, parameters = r11, tiles = rdx, x = rax, w = rcx;

        public void Emit()
        {
            AssemblerRegister64 call = FunctionFrame.Argument;
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
        }

        private AssemblerRegisterZMM Accumulator(int pixel, int block) => Zmm(pixel * blocks + block);

        private void Products()
        {
            for (int p = 0; p < pixels; p++)
            {
                for (int b = 0; b < blocks; b++)
                {
                    if (p == 0)
                        c.vmovups(Accumulator(p, b), __zmmword_ptr[parameters + b * 64]);
                    else
                        c.vmovaps(Accumulator(p, b), Accumulator(0, b));
                }
            }
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
            int accumulators = pixels * blocks, free = ZmmRegisters.Count - accumulators - blocks, broadcast = 0;
            for (int q = 0; q < count; q++)
            {
                for (int b = 0; b < blocks; b++)
                    c.vmovdqu32(Zmm(accumulators + b), __zmmword_ptr[w + (q * blocks + b) * 64]);
                for (int p = 0; p < pixels; p++)
                {
                    AssemblerRegisterZMM v = Zmm(accumulators + blocks + broadcast++ % free);
                    c.vpbroadcastd(v, __dword_ptr[x + (spec.Pixels.Values[p] + q * 4)]);
                    for (int b = 0; b < blocks; b++)
                        c.vpdpbusd(Accumulator(p, b), v, Zmm(accumulators + b));
                }
            }
        }

        /// <summary>Four accumulators at a time become 64 bytes; VPERMD with the 4 x 4 transposition brings the quads of each accumulator together. With
        /// two blocks the four are two pixels of 32 channels, with one they are four pixels of 16.</summary>
        private void Requantize()
        {
            int all = pixels * blocks, pixelsAtOnce = 4 / blocks;
            RequantizationCode end = new(c, spec.Form, parameters, RequantizationCode.PerChannelArrays(spec.Form) * blocks * 64);
            int[][] byBlock = [.. Enumerable.Range(0, blocks).Select(b => Enumerable.Range(0, pixels).Select(p => p * blocks + b).ToArray())];
            end.Convert(byBlock, (array, block) => new(__zmmword_ptr[parameters + (array * blocks + block) * 64]), [28, 29, 30, 31]);
            const int order = 31, zero = 30, floor = 29, spare = 28;
            end.LoadOrder(order);
            end.LoadPackConstants(zero, floor);
            for (int p = 0; p < pixels; p += pixelsAtOnce)
            {
                // Where the last four are not all there, the last accumulator stands in; its copies are not stored.
                int first = p * blocks;
                end.Pack([first, Math.Min(first + 1, all - 1), Math.Min(first + 2, all - 1), Math.Min(first + 3, all - 1)], spare, zero, floor);
                c.vpermd(Zmm(first), Zmm(order), Zmm(first));
                for (int i = 0; i < Math.Min(pixelsAtOnce, pixels - p); i++)
                    Store(first, i, spare, (p + i) * spec.OutputPixelStep);
            }
        }

        private void Store(int packed, int part, int spare, int offset)
        {
            bool partial = spec.LastBlockChannels < 16;
            if (blocks == 2)
            {
                if (part == 1)
                    c.vextracti64x4(Ymm(spare), Zmm(packed), 1);
                AssemblerRegisterYMM from = Ymm(part == 0 ? packed : spare);
                if (partial)
                    c.vmovdqu8(__ymmword_ptr[output + offset].k1, from);
                else
                    c.vmovdqu32(__ymmword_ptr[output + offset], from);
                return;
            }
            if (part > 0)
                c.vextracti32x4(Xmm(spare), Zmm(packed), (sbyte)part);
            AssemblerRegisterXMM value = Xmm(part == 0 ? packed : spare);
            if (partial)
                c.vmovdqu8(__xmmword_ptr[output + offset].k1, value);
            else
                c.vmovdqu32(__xmmword_ptr[output + offset], value);
        }
    }
}
