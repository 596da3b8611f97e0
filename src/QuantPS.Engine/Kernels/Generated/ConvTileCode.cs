using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ConvTileCall
{
    /// <summary>Window of the first tile's first pixel.</summary>
    public byte* Input;

    /// <summary>Packed weights of the first pair of channel blocks: per quad and block 64 bytes, lane c holding the quad of output channel c.</summary>
    public sbyte* Weights;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula for the first pair, see <see cref="ConvTileCode.ParameterBytes"/>; those of the next follow.</summary>
    public byte* Parameters;

    /// <summary>How many tiles, at least 1.</summary>
    public long Tiles;

    /// <summary>For code with a sum: its numbers.</summary>
    public ConvSumNumbers* Sum;
}

/// <summary>Machine code for a convolution tile with AVX-512 VNNI.</summary>
/// <remarks>
/// Accumulator (p, b): zmm number p * blocks + b, lane c = output channel 16 b + c of pixel p. Per quad: one load of 64 weight bytes a block,
/// one broadcast of four input bytes a pixel, VPDPBUSD on every accumulator. The side with fewer registers is kept, the other one passes by. Scalar equivalent of a lane: sum over k of x[k] * w[k], plus the
/// start value, in which bias and zero points are folded. There is no remainder in k: packed weights are zero behind the end of a run.
/// </remarks>
internal static unsafe class ConvTileCode
{
    /// <summary>Accumulators that fit beside two weight registers and two for broadcasts.</summary>
    public const int MostAccumulators = 28;

    /// <summary>Pixels of a tile whose halves overlap: fewer than four in a half would wait for each other's sums, more than six leave no registers to requantize with.</summary>
    public const int LeastOverlapped = 8, MostOverlapped = 12;

    // Of a tile's products, those among which the other half's end is spread: long enough for it, short enough for the instruction cache.
    private const int StraightQuads = 16;

    // Quads handled before the loop counter is looked at: long enough to hide it, short enough for the instruction cache.
    private const int Unroll = 8;

    /// <summary>The code for a spec, to be run with a <see cref="ConvTileCall"/>.</summary>
    public static MachineCode For(ConvTileSpec spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Bytes of the parameters of a pair of blocks: per-channel arrays of 64 bytes a block, then the constants.</summary>
    public static int ParameterBytes(FormShape form) => ConstantsAt(form) + RequantizationCode.ConstantBytes;

    /// <summary>Writes the parameters of the 32 channels from <paramref name="first"/> on; channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, 32)], to);
        RequantizationCode.WriteConstants(form, to + ConstantsAt(shape));
    }

    /// <summary>How many blocks go with so many pixels: few pixels want many, to have enough sums under way.</summary>
    public static int BlocksFor(int pixels) => pixels <= 3 ? 8 : pixels <= 6 ? 4 : 2;

    private static int ConstantsAt(FormShape form) => RequantizationCode.PerChannelArrays(form) * 128;

    private sealed class Generator(Assembler c, ConvTileSpec spec)
    {
        private readonly int blocks = spec.ChannelBlocks;
        private readonly int pixels = spec.Pixels.Count;

        // Channels that are stored at once: of a pixel up to 64; and those of the last such part.
        private readonly int lastChannels = (spec.ChannelBlocks <= 2 ? spec.ChannelBlocks - 1 : (spec.ChannelBlocks - 1) % 4) * 16 + spec.LastBlockChannels;
        private readonly bool partial = spec.ChannelBlocks <= 2 ? spec.LastBlockChannels < 16 : spec.ChannelBlocks % 4 != 0 || spec.LastBlockChannels < 16;
        private readonly AssemblerRegister64 input = r8, weights = r9, output = r10, parameters = r11, tiles = rdx, x = rax, w = rcx, sum = rdi;

        public void Emit()
        {
            c.mov(input, Field(nameof(ConvTileCall.Input)));
            c.mov(weights, Field(nameof(ConvTileCall.Weights)));
            c.mov(output, Field(nameof(ConvTileCall.Output)));
            c.mov(parameters, Field(nameof(ConvTileCall.Parameters)));
            c.mov(tiles, Field(nameof(ConvTileCall.Tiles)));
            if (partial)
            {
                c.mov(rax, (1L << lastChannels) - 1);
                c.kmovq(k1, rax);
            }
            if (spec.Sum is not null)
            {
                c.mov(eax, (1 << spec.LastBlockChannels) - 1);
                c.kmovd(k2, eax);
                // The argument's own register, which nothing else is read from any more.
                c.mov(sum, Field(nameof(ConvTileCall.Sum)));
            }
            if (spec.Overlaps)
                Halves();
            else
                Whole();
        }

        private void Whole()
        {
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            if (spec.Sum is not null)
                FetchOther(x);
            Begin(c, 0, pixels);
            for (int run = 0; run < spec.Runs.Count; run++)
                Loops(run, 0, 0, pixels);
            Requantize(c, 0, pixels, 0, x);
            NextTile();
            c.jnz(tile);
        }

        /// <summary>Products of the first half, and with them the end of the second one of the tile before; products of the second half with the end of the first.
        /// The one is bound by VPDPBUSD, the other by everything else, and out of order they would hardly come together: a tile's end is longer than the
        /// queues between them.</summary>
        private void Halves()
        {
            int half = (pixels + 1) / 2, before = -pixels * spec.OutputPixelStep;
            Label top = c.CreateLabel(), middle = c.CreateLabel();
            if (spec.Sum is not null)
                FetchOther(rsi);
            Half(0, half, _ => { });
            c.jmp(middle);
            c.Label(ref top);
            if (spec.Sum is not null)
                FetchOther(rsi);
            Half(0, half, e => Requantize(e, half, pixels, before, rsi));
            c.Label(ref middle);
            Half(half, pixels, e => Requantize(e, 0, half, 0, rsi));
            NextTile();
            c.jnz(top);
            Requantize(c, half, pixels, before, rsi);
        }

        private void Half(int from, int to, Action<Assembler> alongside)
        {
            Assembler products = new(64), end = new(64);
            Begin(products, from, to);
            int straight = Math.Min(spec.RunQuads, StraightQuads);
            products.lea(x, __qword_ptr[input + spec.Runs.Values[0]]);
            Quads(products, straight, from, to);
            products.add(x, straight * 4);
            products.add(w, straight * 128);
            alongside(end);
            Merge(products.Instructions, end.Instructions);
            Loops(0, straight, from, to);
        }

        /// <summary>The second list spread evenly over the first, both in their order.</summary>
        private void Merge(IReadOnlyList<Instruction> first, IReadOnlyList<Instruction> second)
        {
            for (int i = 0, j = 0; i < first.Count || j < second.Count;)
            {
                if (j < second.Count && (i == first.Count || (long)j * first.Count <= (long)i * second.Count))
                    c.AddInstruction(second[j++]);
                else
                    c.AddInstruction(first[i++]);
            }
        }

        private void NextTile()
        {
            c.add(input, spec.InputStep);
            c.add(output, pixels * spec.OutputPixelStep);
            c.dec(tiles);
        }

        private static AssemblerMemoryOperand Field(string field) => __qword_ptr[FunctionFrame.Argument + (int)Marshal.OffsetOf<ConvTileCall>(field)];

        private AssemblerRegisterZMM Accumulator(int pixel, int block) => Zmm(pixel * blocks + block);

        /// <summary>What is added was written some layers ago, and lies in strides that no hardware foresees: fetched while the products are made.</summary>
        private void FetchOther(AssemblerRegister64 other)
        {
            LoadOther(c, other);
            for (int p = 0; p < pixels; p++)
                for (int at = 0; at < blocks * 16; at += 64)
                    c.prefetcht0(__byte_ptr[other + (p * spec.OutputPixelStep + at)]);
        }

        private void LoadOther(Assembler c, AssemblerRegister64 other)
        {
            c.mov(other, __qword_ptr[sum + ConvSumNumbers.DistanceAt]);
            c.add(other, output);
        }

        /// <summary>Accumulators of the pixels [from, to) at their start values, the weights at their first.</summary>
        private void Begin(Assembler c, int from, int to)
        {
            for (int p = from; p < to; p++)
            {
                for (int b = 0; b < blocks; b++)
                {
                    if (p == from)
                        c.vmovups(Accumulator(p, b), Numbers(0, b));
                    else
                        c.vmovaps(Accumulator(p, b), Accumulator(from, b));
                }
            }
            c.mov(w, weights);
        }

        /// <summary>A run from a quad on; if that is not the first one, x and w are there already.</summary>
        private void Loops(int run, int quad, int from, int to)
        {
            if (quad == 0)
                c.lea(x, __qword_ptr[input + spec.Runs.Values[run]]);
            int loops = (spec.RunQuads - quad) / Unroll, rest = (spec.RunQuads - quad) % Unroll;
            if (loops > 1)
            {
                c.mov(esi, loops);
                Label loop = c.CreateLabel();
                c.Label(ref loop);
                Quads(c, Unroll, from, to);
                c.add(x, Unroll * 4);
                c.add(w, Unroll * 128);
                c.dec(esi);
                c.jnz(loop);
            }
            else if (loops == 1)
            {
                rest += Unroll;
            }
            if (rest > 0)
            {
                Quads(c, rest, from, to);
                c.add(w, rest * 128);
            }
        }

        /// <summary>So many quads of the pixels [from, to): all of them, or a half of two blocks.</summary>
        private void Quads(Assembler c, int count, int from, int to)
        {
            int accumulators = pixels * blocks, passing = 0;
            bool keepWeights = blocks <= pixels;
            // The other half's end has registers of its own.
            int kept = keepWeights ? blocks : pixels, free = VectorRegisters.Count - accumulators - kept - (spec.Overlaps ? RequantizationCode.Spares : 0);
            for (int q = 0; q < count; q++)
            {
                for (int b = 0; spec.PrefetchStep > 0 && from == 0 && b < blocks; b++)
                    c.prefetcht1(__byte_ptr[w + (spec.PrefetchStep + b / 2 * spec.PairWeightStep + (q * 2 + b % 2) * 64)]);
                for (int i = 0; i < kept; i++)
                {
                    if (keepWeights)
                        c.vmovdqu32(Zmm(accumulators + i), Weights(q, i));
                    else
                        c.vpbroadcastd(Zmm(accumulators + i), Input(q, i));
                }
                if (keepWeights)
                {
                    for (int p = from; p < to; p++)
                    {
                        AssemblerRegisterZMM v = Zmm(accumulators + kept + passing++ % free);
                        c.vpbroadcastd(v, Input(q, p));
                        for (int b = 0; b < blocks; b++)
                            c.vpdpbusd(Accumulator(p, b), v, Zmm(accumulators + b));
                    }
                    continue;
                }
                for (int b = 0; b < blocks; b++)
                {
                    if (pixels == 1)
                    {
                        c.vpdpbusd(Accumulator(0, b), Zmm(accumulators), Weights(q, b));
                        continue;
                    }
                    AssemblerRegisterZMM v = Zmm(accumulators + kept + passing++ % free);
                    c.vmovdqu32(v, Weights(q, b));
                    for (int p = 0; p < pixels; p++)
                        c.vpdpbusd(Accumulator(p, b), Zmm(accumulators + p), v);
                }
            }

            AssemblerMemoryOperand Weights(int quad, int block) => __zmmword_ptr[w + (block / 2 * spec.PairWeightStep + (quad * 2 + block % 2) * 64)];

            AssemblerMemoryOperand Input(int quad, int pixel) => __dword_ptr[x + (spec.Pixels.Values[pixel] + quad * 4)];
        }

        private AssemblerMemoryOperand Numbers(int array, int block) => __zmmword_ptr[parameters + (block / 2 * ParameterBytes(spec.Form) + (array * 2 + block % 2) * 64)];

        /// <summary>Four accumulators at a time become 64 bytes; VPERMD with the 4 x 4 transposition brings the quads of each accumulator together. The
        /// four are blocks of one pixel, two pixels of two blocks, or four pixels of one. Of the pixels [from, to), whose output is so many bytes further on.</summary>
        private void Requantize(Assembler c, int from, int to, int displacement, AssemblerRegister64 other)
        {
            VectorAssembler v = new(c, 64);
            RequantizationCode end = new(v, spec.Form, parameters, ConstantsAt(spec.Form));
            int[][] byBlock = [.. Enumerable.Range(0, blocks).Select(b => Enumerable.Range(from, to - from).Select(p => p * blocks + b).ToArray())];
            end.Convert(byBlock, (array, block) => new(Numbers(array, block)), [28, 29, 30, 31], adds: spec.Sum is not null);
            if (spec.Sum is { } added)
            {
                LoadOther(c, other);
                IEnumerable<(int Pixel, int Block)> sums = Enumerable.Range(from, to - from).SelectMany(p => Enumerable.Range(0, blocks).Select(b => (p, b)));
                end.Add(sums.Select(s => (s.Pixel * blocks + s.Block, (Action<int>)(to => Widen(to, s.Pixel, s.Block)))), added, sum, [28, 29, 30, 31]);

                void Widen(int to, int pixel, int block)
                {
                    AssemblerMemoryOperand from = __xmmword_ptr[other + (displacement + pixel * spec.OutputPixelStep + block * 16)];
                    AssemblerRegisterZMM lanes = block == blocks - 1 && spec.LastBlockChannels < 16 ? Zmm(to).k2.z : Zmm(to);
                    if (added.Signed)
                        c.vpmovsxbd(lanes, from);
                    else
                        c.vpmovzxbd(lanes, from);
                }
            }
            const int order = 31, zero = 30, floor = 29, spare = 28;
            end.LoadOrder(order);
            if (spec.Sum is null)
                end.LoadPackConstants(zero, floor);
            int pixelsAtOnce = Math.Max(1, 4 / blocks);
            for (int p = from; p < to; p += pixelsAtOnce)
            {
                int lastOfAll = blocks <= 2 ? to * blocks - 1 : p * blocks + blocks - 1;
                for (int first = p * blocks; first <= p * blocks + blocks - 1; first += 4)
                {
                    // Where the last four are not all there, the last accumulator stands in; its copies are not stored.
                    end.Pack([first, Math.Min(first + 1, lastOfAll), Math.Min(first + 2, lastOfAll), Math.Min(first + 3, lastOfAll)], spare, zero, floor, spec.Sum is not null);
                    c.vpermd(Zmm(first), Zmm(order), Zmm(first));
                    if (blocks > 2)
                    {
                        AssemblerMemoryOperand all = __zmmword_ptr[output + (displacement + p * spec.OutputPixelStep + (first - p * blocks) * 16)];
                        if (partial && first + 4 > lastOfAll)
                            c.vmovdqu8(all.k1, Zmm(first));
                        else
                            c.vmovdqu32(all, Zmm(first));
                        continue;
                    }
                    for (int i = 0; i < Math.Min(pixelsAtOnce, to - p); i++)
                        Store(c, first, i, spare, displacement + (p + i) * spec.OutputPixelStep);
                }
            }
        }

        private void Store(Assembler c, int packed, int part, int spare, int offset)
        {
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
