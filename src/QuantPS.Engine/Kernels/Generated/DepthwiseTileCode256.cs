using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct DepthwiseTileCall256
{
    /// <summary>A pointer for each of <see cref="DepthwiseBand.InputRows"/>.</summary>
    public byte** Rows;

    /// <summary>Where in the rows the window of the first output byte starts, in bytes.</summary>
    public long Offset;

    /// <summary>Weights and per-channel numbers, <see cref="DepthwiseTileCode256.BlockBytes"/> a run.</summary>
    public byte* Weights;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary><see cref="DepthwiseTileCode256.WriteConstants"/>.</summary>
    public byte* Constants;

    /// <summary>How many runs of tiles, at least 1. A run starts 32 channels behind the one before.</summary>
    public long Runs;

    /// <summary>Whole tiles of a run, a pixel each.</summary>
    public long Tiles;

    /// <summary>Tiles shared by <see cref="DepthwiseTileSpec256.SharedPixels"/>, behind the whole ones.</summary>
    public long SharedTiles;

    /// <summary>Tiles of one pixel's pieces, behind those.</summary>
    public long SingleTiles;

    /// <summary>Four times the byte that stands for a zero outside the image.</summary>
    public uint Padding;
}

/// <summary>Two taps whose inputs are interleaved, by kernel row and column. One that does not count has weight zero: it is there because another output
/// row wants the same two, or to fill the pair.</summary>
internal readonly record struct DepthwisePair(int Row, int Column, bool Counts, int OtherRow, int OtherColumn, bool OtherCounts);

/// <summary>Machine code for a depthwise convolution tile with AVX2.</summary>
/// <remarks>
/// Two taps at a time: their bytes are interleaved (VPUNPCK), widened to 16 bits by interleaving with zeros, and VPMADDWD adds the two products, which
/// is exact whatever the weights are: VPMADDUBSW would spare the widening, but its sums of two are limited to 16 bits. Interleaving works within 128-bit
/// lanes, so that lane 4 L + i of accumulator j is byte 16 L + 4 j + i, and the packs of the end put the bytes back in order. What is interleaved is made
/// once and used by all output rows of the tile that see it. Scalar equivalent of a lane: sum over kh, kw of x * w, plus the start value.
/// Shared tiles are read and written piece by piece where these do not lie side by side, so that no byte outside the pixels' channels is touched; where
/// channels are no multiple of a piece, the last piece overlaps the one before.
/// </remarks>
internal static unsafe class DepthwiseTileCode256
{
    /// <summary>Bytes of a register: channels of a tile.</summary>
    public const int TileBytes = 32;

    /// <summary>Bytes of the constants: the formula's, then sign bits.</summary>
    public const int ConstantBytes = RequantizationCode.ConstantBytes + TileBytes;

    // Four accumulators a row, beside three temporaries and the zeros.
    private const int MostLiveRows = 3;

    private const int Rows = 8;

    private const int Vectors = 4;

    /// <summary>The code for a spec, to be run with a <see cref="DepthwiseTileCall256"/>.</summary>
    public static MachineCode For(DepthwiseTileSpec256 spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Output rows of a tile at most.</summary>
    public static int MostRows(ConvGeometry g) => DepthwiseBand.MostRows(g, Rows, MostLiveRows);

    /// <summary>The taps of a kernel in pairs: neighbours in a row; of a last column that is left over, neighbours in that column.</summary>
    public static DepthwisePair[] Pairs(int rows, int columns)
    {
        List<DepthwisePair> pairs = [];
        for (int kh = 0; kh < rows; kh++)
            for (int kw = 0; kw + 1 < columns; kw += 2)
                pairs.Add(new(kh, kw, true, kh, kw + 1, true));
        if (columns % 2 == 0)
            return [.. pairs];
        int last = columns - 1;
        for (int kh = 0; kh + 1 < rows; kh += 2)
            pairs.Add(new(kh, last, true, kh + 1, last, true));
        if (rows == 1)
            pairs.Add(new(0, last, true, 0, last, false));
        else if (rows % 2 != 0)
            pairs.Add(new(rows - 2, last, false, rows - 1, last, true));
        return [.. pairs];
    }

    /// <summary>Bytes of a tile's weights and per-channel numbers: [pair][accumulator][lane] of two 16-bit weights, then the formula's arrays.</summary>
    public static int BlockBytes(FormShape form, int kernelRows, int columns) =>
        (Pairs(kernelRows, columns).Length + RequantizationCode.PerChannelArrays(form)) * Vectors * TileBytes;

    /// <summary>Writes the constants of a formula.</summary>
    public static void WriteConstants(RequantizationForm form, byte* to)
    {
        RequantizationCode.WriteConstants(form, to);
        new Span<byte>(to + RequantizationCode.ConstantBytes, TileBytes).Fill(0x80);
    }

    private sealed class Generator(Assembler c, DepthwiseTileSpec256 spec)
    {
        private const int Zeros = 15;
        private readonly DepthwiseBand band = spec.Band;
        private readonly DepthwisePair[] pairs = Pairs(spec.Band.KernelRows, spec.Band.Columns.Count);
        private readonly int[] inputRows = [.. spec.Band.InputRows().Select(r => r.InputRow)];
        private readonly int slots = spec.Band.LiveRows;
        private readonly RequantizationCode end = new(new VectorAssembler(c, TileBytes), spec.Band.Form, r11, 0);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, offset = r8, weights = r9, output = r10, constants = r11, tiles = rdx, table = rcx, row = rax, otherRow = rsi;

        private enum Extent
        {
            Whole,
            Shared,
            Single,
        }

        private int Bytes => slots * Vectors;

        private int Words => Bytes + 1;

        private int Products => Bytes + 2;

        public void Emit()
        {
            c.mov(table, Field(nameof(DepthwiseTileCall256.Rows)));
            c.mov(constants, Field(nameof(DepthwiseTileCall256.Constants)));
            ClearZeros();
            Label run = c.CreateLabel();
            c.Label(ref run);
            c.mov(offset, Field(nameof(DepthwiseTileCall256.Offset)));
            c.mov(weights, Field(nameof(DepthwiseTileCall256.Weights)));
            c.mov(output, Field(nameof(DepthwiseTileCall256.Output)));
            Tiles(nameof(DepthwiseTileCall256.Tiles), Extent.Whole, 1);
            if (spec.SharedPixels > 0)
                Tiles(nameof(DepthwiseTileCall256.SharedTiles), Extent.Shared, spec.SharedPixels);
            if (spec.SharedPixels > 1)
                Tiles(nameof(DepthwiseTileCall256.SingleTiles), Extent.Single, 1);
            c.add(Field(nameof(DepthwiseTileCall256.Offset)), TileBytes);
            c.add(Field(nameof(DepthwiseTileCall256.Weights)), BlockBytes(band.Form, band.KernelRows, band.Columns.Count));
            c.add(Field(nameof(DepthwiseTileCall256.Output)), TileBytes);
            c.dec(Field(nameof(DepthwiseTileCall256.Runs)));
            c.jnz(run);
        }

        private static int At(string field) => (int)Marshal.OffsetOf<DepthwiseTileCall256>(field);

        private AssemblerMemoryOperand Field(string field) => __qword_ptr[call + At(field)];

        private void Tiles(string count, Extent extent, int pixels)
        {
            Label tile = c.CreateLabel(), none = c.CreateLabel();
            c.mov(tiles, Field(count));
            c.test(tiles, tiles);
            c.jz(none);
            c.Label(ref tile);
            Tile(extent);
            c.add(offset, spec.InputStep * pixels);
            c.add(output, spec.OutputStep * pixels);
            c.dec(tiles);
            c.jnz(tile);
            c.Label(ref none);
            c.nop();
        }

        /// <summary>Two taps after the other, in the order of their input rows. An output row's accumulators are started by its first ones and requantized
        /// behind its last ones, and its registers go to a later row.</summary>
        private void Tile(Extent extent)
        {
            var done = new int[band.Rows];
            var interleaved = from r in Enumerable.Range(0, band.Rows)
                              from p in Enumerable.Range(0, pairs.Length)
                              group (Row: r, Pair: p) by (Later: InputRow(r, pairs[p].OtherRow), Row: InputRow(r, pairs[p].Row), pairs[p].Column, pairs[p].OtherColumn) into g
                              orderby g.Key
                              select g;
            foreach (var g in interleaved)
            {
                c.mov(row, RowPointer(g.Key.Row));
                if (g.Key.Later != g.Key.Row)
                    c.mov(otherRow, RowPointer(g.Key.Later));
                Interleave((row, g.Key.Column), (g.Key.Later == g.Key.Row ? row : otherRow, g.Key.OtherColumn), extent, vector =>
                {
                    foreach ((int r, int p) in g)
                        MultiplyAdd(r, p, vector, first: done[r] == 0);
                });
                foreach ((int r, _) in g)
                    if (++done[r] == pairs.Length)
                        Finish(r, extent);
            }
        }

        private int InputRow(int outputRow, int kernelRow) => outputRow * band.RowStride + kernelRow * band.RowDilation;

        private AssemblerMemoryOperand RowPointer(int inputRow) => __qword_ptr[table + Array.IndexOf(inputRows, inputRow) * 8];

        /// <summary>Both taps as 16-bit numbers side by side in <see cref="Words"/>, accumulator by accumulator; the bytes of the later two are kept in a
        /// register if there is one left, else made again.</summary>
        private void Interleave((AssemblerRegister64 Row, int Column) one, (AssemblerRegister64 Row, int Column) other, Extent extent, Action<int> use)
        {
            int kept = Products + 1;
            bool keeps = kept < Zeros;
            for (int half = 0; half < 2; half++)
            {
                if (half == 0 || !keeps)
                {
                    Load(Bytes, one, extent);
                    if (half == 0 && keeps)
                        With(kept, c.vpunpckhbw, c.vpunpckhbw, load: true);
                    if (half == 0)
                        With(Bytes, c.vpunpcklbw, c.vpunpcklbw, load: !keeps);
                    else
                        With(Bytes, c.vpunpckhbw, c.vpunpckhbw, load: true);
                }
                int bytes = half == 1 && keeps ? kept : Bytes;
                c.vpunpcklbw(Ymm(Words), Ymm(bytes), Ymm(Zeros));
                use(2 * half);
                c.vpunpckhbw(Ymm(Words), Ymm(bytes), Ymm(Zeros));
                use(2 * half + 1);
            }

            // The other tap is an operand in memory where it lies there as it is wanted.
            void With(int to, Action<AssemblerRegisterYMM, AssemblerRegisterYMM, AssemblerRegisterYMM> byRegister, Action<AssemblerRegisterYMM, AssemblerRegisterYMM, AssemblerMemoryOperand> byMemory, bool load)
            {
                if (IsOneVector(extent, spec.InputStep) && !band.Flip && !Outside(other.Column))
                {
                    byMemory(Ymm(to), Ymm(Bytes), __ymmword_ptr[other.Row + offset + band.Columns.Values[other.Column]]);
                    return;
                }
                if (load)
                    Load(Words, other, extent);
                byRegister(Ymm(to), Ymm(Bytes), Ymm(Words));
            }
        }

        private bool Outside(int column) => (band.OutsideColumns >> column & 1) != 0;

        private void MultiplyAdd(int r, int pair, int vector, bool first)
        {
            AssemblerRegisterYMM accumulator = Ymm(Accumulator(r, vector));
            AssemblerMemoryOperand numbers = __ymmword_ptr[weights + (pair * Vectors + vector) * TileBytes];
            if (first)
            {
                c.vpmaddwd(accumulator, Ymm(Words), numbers);
                c.vpaddd(accumulator, accumulator, Numbers(0, vector));
                return;
            }
            c.vpmaddwd(Ymm(Products), Ymm(Words), numbers);
            c.vpaddd(accumulator, accumulator, Ymm(Products));
        }

        private int Accumulator(int row, int vector) => row % slots * Vectors + vector;

        private void Finish(int r, Extent extent)
        {
            int[] four = [.. Enumerable.Range(0, Vectors).Select(vector => Accumulator(r, vector))];
            end.Convert([.. four.Select(a => new[] { a })], (array, vector) => new(Numbers(array, vector)), [Bytes, Words, Products, Zeros]);
            end.LoadPackConstants(Words, Products);
            end.Pack(four, Bytes, Words, Products);
            ClearZeros();
            int to = r * band.OutputRowStep;
            if (IsOneVector(extent, spec.OutputStep))
                c.vmovdqu(__ymmword_ptr[output + to], Ymm(four[0]));
            else
                StorePieces(four[0], to, extent);
        }

        private void ClearZeros() => c.vpxor(Ymm(Zeros), Ymm(Zeros), Ymm(Zeros));

        private AssemblerMemoryOperand Numbers(int array, int vector) => __ymmword_ptr[weights + ((pairs.Length + array) * Vectors + vector) * TileBytes];

        private void Load(int to, (AssemblerRegister64 Row, int Column) tap, Extent extent)
        {
            int at = band.Columns.Values[tap.Column];
            if (Outside(tap.Column))
                c.vpbroadcastd(Ymm(to), __dword_ptr[call + At(nameof(DepthwiseTileCall256.Padding))]);
            else if (IsOneVector(extent, spec.InputStep))
                c.vmovdqu(Ymm(to), __ymmword_ptr[tap.Row + offset + at]);
            else
                LoadPieces(to, tap.Row + offset + at, extent);
            if (band.Flip)
                c.vpxor(Ymm(to), Ymm(to), __ymmword_ptr[constants + RequantizationCode.ConstantBytes]);
        }

        /// <summary>Where the pieces of a tile are, from its first one.</summary>
        private int[] PiecesOf(Extent extent, int pixelStep) =>
            [.. from pixel in Enumerable.Range(0, extent == Extent.Shared ? spec.SharedPixels : 1) from piece in spec.Pieces.Values select pixel * pixelStep + piece];

        /// <summary>The tile's bytes lie side by side: the channels of a pixel, or of neighbouring pixels that have no others.</summary>
        private bool IsOneVector(Extent extent, int pixelStep) =>
            extent == Extent.Whole || (extent == Extent.Shared && PiecesOf(extent, pixelStep).Select((at, i) => at == i * spec.PieceBytes).All(same => same));

        private void LoadPieces(int to, AssemblerMemoryOperand from, Extent extent)
        {
            int[] pieces = PiecesOf(extent, spec.InputStep);
            if (spec.PieceBytes == 16)
            {
                c.vmovdqu(Xmm(to), __xmmword_ptr[from + pieces[0]]);
                if (pieces.Length > 1)
                    c.vinserti128(Ymm(to), Ymm(to), __xmmword_ptr[from + pieces[1]], 1);
                return;
            }
            Half(Xmm(to), 0);
            if (pieces.Length > 2)
            {
                Half(Xmm(Products), 2);
                c.vinserti128(Ymm(to), Ymm(to), Xmm(Products), 1);
            }

            void Half(AssemblerRegisterXMM half, int first)
            {
                c.vmovq(half, __qword_ptr[from + pieces[first]]);
                if (pieces.Length > first + 1)
                    c.vmovhps(half, half, __qword_ptr[from + pieces[first + 1]]);
            }
        }

        private void StorePieces(int from, int to, Extent extent)
        {
            int[] pieces = PiecesOf(extent, spec.OutputStep);
            if (spec.PieceBytes == 16)
            {
                c.vmovdqu(__xmmword_ptr[output + (to + pieces[0])], Xmm(from));
                if (pieces.Length > 1)
                    c.vextracti128(__xmmword_ptr[output + (to + pieces[1])], Ymm(from), 1);
                return;
            }
            Half(0);
            if (pieces.Length > 2)
            {
                c.vextracti128(Xmm(from), Ymm(from), 1);
                Half(2);
            }

            void Half(int first)
            {
                c.vmovq(__qword_ptr[output + (to + pieces[first])], Xmm(from));
                if (pieces.Length > first + 1)
                    c.vmovhps(__qword_ptr[output + (to + pieces[first + 1])], Xmm(from));
            }
        }
    }
}
