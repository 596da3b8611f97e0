using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Layers;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DepthwiseTileCall
{
    /// <summary>A pointer for each of <see cref="DepthwiseBand.InputRows"/>.</summary>
    public byte** Rows;

    /// <summary>Where in the rows the window of the first output byte starts, in bytes.</summary>
    public long Offset;

    /// <summary>Weights and per-channel numbers, <see cref="DepthwiseTileCode.BlockBytes"/> a tile of the period.</summary>
    public byte* Weights;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>The formula's constants.</summary>
    public byte* Constants;

    /// <summary>How many runs of tiles, at least 1. A run starts 64 bytes and 64 channels behind the one before.</summary>
    public long Runs;

    /// <summary>Whole tiles of a run.</summary>
    public long Tiles;

    /// <summary>Tiles shared by <see cref="DepthwiseTileSpec.SharedPixels"/>, behind the whole ones.</summary>
    public long SharedTiles;

    /// <summary>Partial tiles, behind those.</summary>
    public long PartialTiles;

    /// <summary>A bit for each byte of a partial tile.</summary>
    public ulong PartialMask;

    /// <summary>Four times the byte that stands for a zero outside the image.</summary>
    public uint Padding;
}

/// <summary>Machine code for a depthwise convolution tile with AVX-512 VNNI.</summary>
/// <remarks>
/// A row of pixels is seen as bytes: output byte i is made from the input bytes i + Columns[kw] of each kernel row, with the weights of its
/// channel. Four kernel columns at a time, two rounds of interleaving (VPUNPCK, bytes then words) put the four taps of a byte side by side, and
/// VPDPBUSD adds their products: interleaving works within 128-bit lanes, so that lane 4 L + i of accumulator j is byte 16 L + 4 j + i, and the
/// packs of the end put the bytes back in order. Quads of an input row are made once and used by all output rows of the tile that see it.
/// Columns that a quad does not have repeat another one, with weight zero. Scalar equivalent of a lane: sum over kh, kw of x * w, plus the start
/// value. Partial tiles read and write under a mask, so that no byte outside the run's rows is touched; shared tiles hold the last 32 or 16
/// channels of two or four pixels. The quads of an input row are made while those of the row before are multiplied: a CPU looks ahead over less
/// than a row.
/// </remarks>
internal static unsafe class DepthwiseTileCode
{
    // Four accumulators a row, beside six registers for interleaving and three for zero point, floor and sign.
    private const int MostLiveRows = 5;

    private const int Rows = 8;

    /// <summary>The code for a spec, to be run with a <see cref="DepthwiseTileCall"/>.</summary>
    public static MachineCode For(DepthwiseTileSpec spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Output rows of a tile at most.</summary>
    public static int MostRows(ConvGeometry g) => DepthwiseBand.MostRows(g, Rows, MostLiveRows);

    /// <summary>Groups of four kernel columns.</summary>
    public static int Quads(int columns) => (columns + 3) / 4;

    /// <summary>Bytes of a tile's weights and per-channel numbers.</summary>
    public static int BlockBytes(FormShape form, int kernelRows, int columns) => (kernelRows * Quads(columns) + RequantizationCode.PerChannelArrays(form)) * 256;

    private sealed class Generator(Assembler c, DepthwiseTileSpec spec)
    {
        private const int Floor = 31, Zero = 30, Sign = 29, Temporaries = 4;
        private readonly DepthwiseBand band = spec.Band;
        private readonly int quads = Quads(spec.Band.Columns.Count);
        private readonly int slots = spec.Band.LiveRows;
        private readonly int quadSets = spec.Band.LiveRows < MostLiveRows ? 2 : 1;
        private readonly RequantizationCode end = new(new VectorAssembler(c, 64), spec.Band.Form, r11, 0);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, offset = r8, weights = r9, output = r10, constants = r11, tiles = rdx, table = rcx, left = rsi, row = rax;

        private enum Extent
        {
            Whole,
            Shared,
            Partial,
        }

        private int FirstTemporary => slots * 4;

        private int FirstQuad => FirstTemporary + Temporaries;

        private int FirstKept => FirstQuad + quadSets * 4;

        public void Emit()
        {
            c.mov(table, Field(nameof(DepthwiseTileCall.Rows)));
            c.mov(constants, Field(nameof(DepthwiseTileCall.Constants)));
            c.kmovq(k1, Field(nameof(DepthwiseTileCall.PartialMask)));
            LoadShareMasks();
            end.LoadPackConstants(Zero, Floor);
            if (band.Flip)
            {
                c.mov(eax, unchecked((int)0x80808080));
                c.vpbroadcastd(Zmm(Sign), eax);
            }
            Label run = c.CreateLabel();
            c.Label(ref run);
            c.mov(offset, Field(nameof(DepthwiseTileCall.Offset)));
            c.mov(weights, Field(nameof(DepthwiseTileCall.Weights)));
            c.mov(output, Field(nameof(DepthwiseTileCall.Output)));
            c.mov(left, spec.Period);
            LoadKept();
            Tiles(nameof(DepthwiseTileCall.Tiles), Extent.Whole);
            if (spec.SharedPixels > 1)
                Tiles(nameof(DepthwiseTileCall.SharedTiles), Extent.Shared);
            Tiles(nameof(DepthwiseTileCall.PartialTiles), Extent.Partial);
            c.add(Field(nameof(DepthwiseTileCall.Offset)), 64);
            c.add(Field(nameof(DepthwiseTileCall.Weights)), BlockBytes(band.Form, band.KernelRows, band.Columns.Count));
            c.add(Field(nameof(DepthwiseTileCall.Output)), 64);
            c.dec(Field(nameof(DepthwiseTileCall.Runs)));
            c.jnz(run);
        }

        private static int At(string field) => (int)Marshal.OffsetOf<DepthwiseTileCall>(field);

        private AssemblerMemoryOperand Field(string field) => __qword_ptr[call + At(field)];

        private void Tiles(string count, Extent extent)
        {
            Label tile = c.CreateLabel(), none = c.CreateLabel(), same = c.CreateLabel();
            c.mov(tiles, Field(count));
            c.test(tiles, tiles);
            c.jz(none);
            c.Label(ref tile);
            Tile(extent);
            int pixels = extent == Extent.Shared ? spec.SharedPixels : 1;
            c.add(offset, spec.InputStep * pixels);
            c.add(output, spec.OutputStep * pixels);
            if (spec.Period > 1)
            {
                c.add(weights, BlockBytes(band.Form, band.KernelRows, band.Columns.Count));
                c.dec(left);
                c.jnz(same);
                c.mov(weights, Field(nameof(DepthwiseTileCall.Weights)));
                c.mov(left, spec.Period);
                c.Label(ref same);
                LoadKept();
            }
            c.dec(tiles);
            c.jnz(tile);
            c.Label(ref none);
            c.nop();
        }

        /// <summary>Input row by input row. An output row's accumulators are started at its first input row and requantized behind its last one, and
        /// its registers go to a later row.</summary>
        private void Tile(Extent extent)
        {
            (int Row, int Kernel)[][] rows = [.. band.InputRows().Select(r => r.Uses)];
            // Steps: a quad of an input row each.
            (int Row, int Quad)[] steps = [.. from i in Enumerable.Range(0, rows.Length) from q in Enumerable.Range(0, quads) select (i, q)];
            Merge(Interleave(0), []);
            for (int step = 0; step < steps.Length; step++)
            {
                (int i, int q) = steps[step];
                bool ahead = step + 1 < steps.Length;
                List<Action> products = [.. Products(rows[i], q, step % quadSets)];
                if (quadSets > 1)
                    Merge(products, ahead ? Interleave(step + 1) : []);
                else
                    Merge(products, []);
                if (q == quads - 1)
                {
                    foreach ((int r, int kernel) in rows[i])
                        if (kernel == band.KernelRows - 1)
                            Finish(r, extent);
                }
                if (quadSets == 1 && ahead)
                    Merge(Interleave(step + 1), []);
            }

            List<Action> Interleave(int step) => [.. this.Interleave(steps[step].Row, steps[step].Quad, FirstQuad + step % quadSets * 4, extent)];
        }

        /// <summary>Emits both lists, each in its order, evenly mixed.</summary>
        private static void Merge(List<Action> many, List<Action> few)
        {
            int done = 0;
            for (int i = 0; i < many.Count; i++)
            {
                many[i]();
                for (; done * many.Count < (i + 1) * few.Count; done++)
                    few[done]();
            }
            for (; done < few.Count; done++)
                few[done]();
        }

        private IEnumerable<Action> Products((int Row, int Kernel)[] uses, int quad, int set)
        {
            foreach ((int r, int kernel) in uses)
            {
                for (int j = 0; j < 4; j++)
                {
                    int lanes = j;
                    if (kernel == 0 && quad == 0)
                        yield return () => Start(Accumulator(r, lanes), lanes);
                    yield return () => c.vpdpbusd(Zmm(Accumulator(r, lanes)), Zmm(FirstQuad + set * 4 + lanes), __zmmword_ptr[weights + ((kernel * quads + quad) * 4 + lanes) * 64]);
                }
            }
        }

        private int Accumulator(int row, int j) => row % slots * 4 + j;

        private void Start(int accumulator, int j)
        {
            if (FirstKept + 4 + j < Sign)
                c.vmovaps(Zmm(accumulator), Zmm(FirstKept + 4 + j));
            else
                c.vmovups(Zmm(accumulator), Numbers(0, j));
        }

        private void Finish(int r, Extent extent)
        {
            int multiplier = RequantizationCode.MultiplierArray(band.Form);
            int[] four = [.. Enumerable.Range(0, 4).Select(j => Accumulator(r, j))];
            end.Convert([.. four.Select(a => new[] { a })], (array, j) => new(Numbers(array, j), array == multiplier && FirstKept + j < Sign ? FirstKept + j : null),
                [FirstTemporary, FirstTemporary + 1, FirstTemporary + 2, FirstTemporary + 3]);
            end.Pack(four, FirstTemporary, Zero, Floor);
            int packed = four[0], to = r * band.OutputRowStep;
            switch (extent)
            {
                case Extent.Whole:
                    c.vmovdqu32(__zmmword_ptr[output + to], Zmm(packed));
                    break;
                case Extent.Partial:
                    c.vmovdqu8(__zmmword_ptr[output + to].k1, Zmm(packed));
                    break;
                case Extent.Shared when spec.SharedPixels == 2:
                    c.vmovdqu32(__ymmword_ptr[output + to], Ymm(packed));
                    c.vextracti64x4(__ymmword_ptr[output + (to + spec.OutputStep)], Zmm(packed), 1);
                    break;
                default:
                    c.vmovdqu32(__xmmword_ptr[output + to], Xmm(packed));
                    for (int p = 1; p < 4; p++)
                        c.vextracti32x4(__xmmword_ptr[output + (to + p * spec.OutputStep)], Zmm(packed), (sbyte)p);
                    break;
            }
        }

        /// <summary>Registers that are left over keep the multipliers, then the start values.</summary>
        private void LoadKept()
        {
            for (int i = 0; i < 8 && FirstKept + i < Sign; i++)
                c.vmovups(Zmm(FirstKept + i), Numbers(i < 4 ? RequantizationCode.MultiplierArray(band.Form) : 0, i % 4));
        }

        private AssemblerMemoryOperand Numbers(int array, int j) => __zmmword_ptr[weights + (band.KernelRows * quads * 256 + (array * 4 + j) * 64)];

        /// <summary>The taps of four kernel columns side by side, in four registers from <paramref name="to"/> on.</summary>
        private IEnumerable<Action> Interleave(int inputRow, int quad, int to, Extent extent)
        {
            int first = quad * 4, count = Math.Min(4, band.Columns.Count - first);
            AssemblerRegisterZMM[] t = [.. Enumerable.Range(FirstTemporary, Temporaries).Select(Zmm)], q = [.. Enumerable.Range(to, 4).Select(Zmm)];
            if (quad == 0)
                yield return () => c.mov(row, __qword_ptr[table + inputRow * 8]);
            foreach (Action a in Pair(0, 1, t[2], t[3]))
                yield return a;
            AssemblerRegisterZMM low = t[2], high = t[3];
            if (count > 2)
            {
                foreach (Action a in Pair(2, 3, q[0], q[2]))
                    yield return a;
                (low, high) = (q[0], q[2]);
            }
            yield return () => c.vpunpckhwd(q[1], t[2], low);
            yield return () => c.vpunpcklwd(q[0], t[2], low);
            yield return () => c.vpunpckhwd(q[3], t[3], high);
            yield return () => c.vpunpcklwd(q[2], t[3], high);

            IEnumerable<Action> Pair(int one, int other, AssemblerRegisterZMM lowHalf, AssemblerRegisterZMM highHalf)
            {
                yield return () => Load(t[0], first + one, extent);
                AssemblerRegisterZMM second = t[0];
                if (other < count)
                {
                    second = t[1];
                    yield return () => Load(t[1], first + other, extent);
                }
                yield return () => c.vpunpcklbw(lowHalf, t[0], second);
                yield return () => c.vpunpckhbw(highHalf, t[0], second);
            }
        }

        private void Load(AssemblerRegisterZMM to, int column, Extent extent)
        {
            int number = to.Value - Register.ZMM0, at = band.Columns.Values[column];
            if ((band.OutsideColumns >> column & 1) != 0)
                c.vpbroadcastd(to, __dword_ptr[call + At(nameof(DepthwiseTileCall.Padding))]);
            else if (extent == Extent.Whole)
                c.vmovdqu32(to, __zmmword_ptr[row + offset + at]);
            else if (extent == Extent.Partial)
                c.vmovdqu8(to.k1.z, __zmmword_ptr[row + offset + at]);
            else if (spec.SharedPixels == 2)
            {
                c.vmovdqu32(Ymm(number), __ymmword_ptr[row + offset + at]);
                c.vbroadcasti64x4(to.k2, __ymmword_ptr[row + offset + (at + spec.InputStep)]);
            }
            else
            {
                c.vmovdqu32(Xmm(number), __xmmword_ptr[row + offset + at]);
                c.vbroadcasti32x4(to.k2, __xmmword_ptr[row + offset + (at + spec.InputStep)]);
                c.vbroadcasti32x4(to.k3, __xmmword_ptr[row + offset + (at + 2 * spec.InputStep)]);
                c.vbroadcasti32x4(to.k4, __xmmword_ptr[row + offset + (at + 3 * spec.InputStep)]);
            }
            if (band.Flip)
                c.vpxord(to, to, Zmm(Sign));
        }

        /// <summary>The upper half in quadwords for two pixels; the second to fourth quarter in doublewords for four.</summary>
        private void LoadShareMasks()
        {
            if (spec.SharedPixels == 2)
            {
                c.mov(eax, 0xF0);
                c.kmovd(k2, eax);
            }
            else if (spec.SharedPixels == 4)
            {
                AssemblerRegisterK[] masks = [k2, k3, k4];
                for (int p = 1; p < 4; p++)
                {
                    c.mov(eax, 0xF << 4 * p);
                    c.kmovd(masks[p - 1], eax);
                }
            }
        }
    }
}
