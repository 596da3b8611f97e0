using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct WinogradProductsCall
{
    /// <summary>Transformed inputs, from the first point on: [point][tile][channel] int16.</summary>
    public short* Inputs;

    /// <summary>Transformed weights: [point][pair of input channels][16 output channels][2] int16.</summary>
    public short* Weights;

    /// <summary>[tile][point][16 output channels] int32, from the first point on: receives the sums, or has them added.</summary>
    public int* Products;
}

/// <summary>All that the code depends on. Equal specs share code.</summary>
/// <param name="Tiles">Tiles.</param>
/// <param name="Channels">Input channels, a multiple of 4.</param>
/// <param name="TileBytes">Bytes from a tile's inputs to the next one's.</param>
/// <param name="PointBytes">Bytes from a point's inputs to the next one's.</param>
/// <param name="WeightBytes">Bytes from a point's weights to the next one's.</param>
/// <param name="Adds">Products are added to what is there.</param>
/// <param name="Wide">Vectors of 512 bits, with AVX-512 VNNI; else of 256, with AVX2.</param>
internal sealed record WinogradProductsSpec(int Tiles, int Channels, int TileBytes, int PointBytes, int WeightBytes, bool Adds, bool Wide);

/// <summary>Machine code for the products of <see cref="WinogradTransform"/>: for each of the twelve points of two rows, the tiles' inputs times the weights of 16 output channels, summed over the input channels.</summary>
/// <remarks>
/// Scalar equivalent of a lane, which is an output channel: the sum over input channels of input * weight modulo 2^32. Channels are padded to a multiple of four, with weights of zero.
/// AVX2, up to six tiles at a time: accumulators 2 r and 2 r + 1 are tile r, output channels 0 to 7 and 8 to 15. A pair of channels: one broadcast of two int16 a tile, VPMADDWD
/// with both vectors of weights, VPADDD.
/// AVX-512 VNNI, up to 24 tiles: one accumulator a tile, or two of which each takes every other pair, so that few tiles do not wait for each other. A pair of channels: VPDPWSSD of the
/// weights with two int16 of a tile, broadcast from memory.
/// </remarks>
internal static unsafe class WinogradProductsCode
{
    /// <summary>Output channels of a block.</summary>
    public const int Lanes = 16;

    /// <summary>Points of a call.</summary>
    public const int PointsAtOnce = WinogradTransform.RowsAtOnce * WinogradTransform.TileInputs;

    /// <summary>Tiles at a time at most with AVX2: twelve accumulators, beside two registers for weights, one for inputs and one for products.</summary>
    public const int NarrowTiles = 6;

    /// <summary>With AVX-512.</summary>
    public const int WideTiles = 24;

    // Pairs of a step of the loop.
    private const int Unrolled = 2;

    private const int VectorBytes = 32, PairBytes = Lanes * 2 * sizeof(short), SumBytes = WinogradTransform.Points * Lanes * sizeof(int);

    /// <summary>The code for a spec, to be run with a <see cref="WinogradProductsCall"/>.</summary>
    public static MachineCode For(WinogradProductsSpec spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    private sealed class Generator(Assembler c, WinogradProductsSpec spec)
    {
        private const int Low = 12, High = 13, Input = 14, Product = 15, WideWeights = WideTiles;

        private readonly AssemblerRegister64 call = FunctionFrame.Argument, inputs = rsi, weights = rcx, products = rdx, points = r8, at = rax, from = r9, end = r10;

        private int Pairs => spec.Channels / 2;

        public void Emit()
        {
            c.mov(inputs, Field(nameof(WinogradProductsCall.Inputs)));
            c.mov(weights, Field(nameof(WinogradProductsCall.Weights)));
            c.mov(products, Field(nameof(WinogradProductsCall.Products)));
            c.mov(points, PointsAtOnce);
            Label point = c.CreateLabel();
            c.Label(ref point);
            // Tiles in parts as equal as can be.
            int most = spec.Wide ? WideTiles : NarrowTiles, parts = (spec.Tiles + most - 1) / most;
            for (int part = 0; part < parts; part++)
                Part(spec.Tiles * part / parts, spec.Tiles * (part + 1) / parts);
            c.add(inputs, spec.PointBytes);
            c.add(weights, spec.WeightBytes);
            c.add(products, Lanes * sizeof(int));
            c.dec(points);
            c.jnz(point);
        }

        private AssemblerMemoryOperand Field(string field) => __qword_ptr[call + (int)Marshal.OffsetOf<WinogradProductsCall>(field)];

        /// <summary>The tiles [first, last) of a point.</summary>
        private void Part(int first, int last)
        {
            int tiles = last - first;
            c.lea(at, __[inputs + first * spec.TileBytes]);
            c.mov(from, weights);
            c.lea(end, __[weights + Pairs * PairBytes]);
            Begin(first, tiles);
            Label next = c.CreateLabel();
            c.Label(ref next);
            for (int pair = 0; pair < Unrolled; pair++)
                Pair(pair, tiles);
            c.add(at, Unrolled * sizeof(int));
            c.add(from, Unrolled * PairBytes);
            c.cmp(from, end);
            c.jne(next);
            End(first, tiles);
        }

        private void Begin(int first, int tiles)
        {
            for (int i = 0; i < 2 * tiles && !spec.Wide; i++)
            {
                if (spec.Adds)
                    c.vmovdqu(Ymm(i), Sums(first, i));
                else
                    c.vpxor(Ymm(i), Ymm(i), Ymm(i));
            }
            for (int i = 0; i < Sets(tiles) * tiles && spec.Wide; i++)
            {
                if (spec.Adds && i < tiles)
                    c.vmovdqu32(Zmm(i), WideSums(first + i));
                else
                    c.vpxord(Zmm(i), Zmm(i), Zmm(i));
            }
        }

        /// <summary>A pair of channels of all tiles.</summary>
        private void Pair(int pair, int tiles)
        {
            if (spec.Wide)
            {
                AssemblerRegisterZMM w = Zmm(WideWeights + pair);
                c.vmovdqu32(w, __zmmword_ptr[from + pair * PairBytes]);
                for (int t = 0; t < tiles; t++)
                    c.vpdpwssd(Zmm(pair % Sets(tiles) * tiles + t), w, __dword_bcst[at + (t * spec.TileBytes + pair * sizeof(int))]);
                return;
            }
            c.vmovdqu(Ymm(Low), __ymmword_ptr[from + pair * PairBytes]);
            c.vmovdqu(Ymm(High), __ymmword_ptr[from + (pair * PairBytes + VectorBytes)]);
            for (int t = 0; t < tiles; t++)
            {
                c.vpbroadcastd(Ymm(Input), __dword_ptr[at + (t * spec.TileBytes + pair * sizeof(int))]);
                c.vpmaddwd(Ymm(Product), Ymm(Input), Ymm(Low));
                c.vpmaddwd(Ymm(Input), Ymm(Input), Ymm(High));
                c.vpaddd(Ymm(2 * t), Ymm(2 * t), Ymm(Product));
                c.vpaddd(Ymm(2 * t + 1), Ymm(2 * t + 1), Ymm(Input));
            }
        }

        private void End(int first, int tiles)
        {
            for (int i = 0; i < 2 * tiles && !spec.Wide; i++)
                c.vmovdqu(Sums(first, i), Ymm(i));
            for (int t = 0; t < tiles && spec.Wide; t++)
            {
                if (Sets(tiles) > 1)
                    c.vpaddd(Zmm(t), Zmm(t), Zmm(tiles + t));
                c.vmovdqu32(WideSums(first + t), Zmm(t));
            }
        }

        /// <summary>Accumulators of a tile.</summary>
        private static int Sets(int tiles) => tiles <= WideTiles / Unrolled ? Unrolled : 1;

        private AssemblerMemoryOperand WideSums(int tile) => __zmmword_ptr[products + tile * SumBytes];

        /// <summary>Where an accumulator's sums are.</summary>
        private AssemblerMemoryOperand Sums(int first, int accumulator) => __ymmword_ptr[products + ((first + accumulator / 2) * SumBytes + accumulator % 2 * VectorBytes)];
    }
}
