using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The end of an AVX2 tile: int32 accumulators, 8 channels of a pixel each, to bytes in memory, with the sum that they go into if there is one.</summary>
/// <remarks>The accumulator of pixel p and block b is ymm number p * blocks + b, up to 7. Behind them ymm 9 to 15 are used, and rax and rsi where there is a sum.</remarks>
/// <param name="c">Receives the instructions.</param>
/// <param name="form">Which steps the formula has.</param>
/// <param name="sum">The sum that the outputs go into, if any.</param>
/// <param name="channels">Channels of the last block that are stored, 1 to 8.</param>
/// <param name="pixelStep">Bytes from a pixel's output to the next one's.</param>
/// <param name="constantsAt">Where behind <see cref="Parameters"/> the formula's constants are; its per-channel arrays are in front of them.</param>
/// <param name="sumField">Where in the call's structure the pointer to the <see cref="ConvSumNumbers"/> is, in bytes.</param>
/// <param name="blocks">Blocks of 8 channels, one or two.</param>
/// <param name="parameterStep">Bytes from a block's parameters to the next one's.</param>
internal sealed class TileEnd256(Assembler c, FormShape form, SumShape? sum, int channels, int pixelStep, int constantsAt, int sumField, int blocks = 1, int parameterStep = 0)
{
    private const int Lanes = 8, VectorBytes = 32;

    // Behind the accumulators.
    private const int PackZero = 13, PackFloor = 14, PackOrder = 15, Upper = 12;

    private static readonly int[] Spare = [9, 10, 11, 12];

    /// <summary>Points to the tile's first output byte.</summary>
    public static readonly AssemblerRegister64 Output = r10;

    /// <summary>Points to the parameters when <see cref="Emit"/>'s instructions are reached.</summary>
    public static readonly AssemblerRegister64 Parameters = r11;

    private readonly VectorAssembler v = new(c, VectorBytes);
    private readonly AssemblerRegister64 other = rax, numbers = rsi;

    /// <summary>What is added was written some layers ago, and lies in strides that no hardware foresees: fetched while the products are made.</summary>
    public void FetchOther(int pixels)
    {
        if (sum is null)
            return;
        LoadOther();
        for (int p = 0; p < pixels; p++)
            c.prefetcht0(__byte_ptr[other + p * pixelStep]);
    }

    /// <summary>Four accumulators become 32 bytes: of four pixels, or of two pixels with two blocks; VPERMD brings the two quads of each together.</summary>
    /// <param name="pixels">How many pixels; times the blocks up to 8.</param>
    /// <param name="displacement">Of the first one's output, in bytes.</param>
    public void Emit(int pixels, int displacement)
    {
        RequantizationCode end = new(v, form, Parameters, constantsAt);
        int accumulators = pixels * blocks;
        end.Convert([.. Enumerable.Range(0, blocks).Select(b => Enumerable.Range(0, pixels).Select(p => p * blocks + b).ToArray())],
            (array, block) => new(__ymmword_ptr[Parameters + (block * parameterStep + array * VectorBytes)]), Spare, adds: sum is not null);
        if (sum is { } shape)
        {
            LoadOther();
            end.Add(Enumerable.Range(0, accumulators).Select(a => (a, (Action<int>)(to => Widen(to, other + PlaceOf(a), ChannelsOf(a), shape.Signed)))), shape, numbers, Spare);
        }
        end.LoadOrder(PackOrder);
        if (sum is null)
            end.LoadPackConstants(PackZero, PackFloor);
        for (int a = 0; a < accumulators; a += 4)
        {
            // Where the last four are not all there, the last one stands in; its copies are not stored.
            int count = Math.Min(4, accumulators - a), last = accumulators - 1;
            end.Pack([a, Math.Min(a + 1, last), Math.Min(a + 2, last), Math.Min(a + 3, last)], Spare[0], PackZero, PackFloor, sum is not null);
            v.vpermd(a, PackOrder, a);
            for (int i = 0; i < count; i++)
            {
                if (i == 2)
                    c.vextracti128(Xmm(Upper), Ymm(a), 1);
                int from = i < 2 ? a : Upper;
                // Both blocks of a pixel, side by side.
                if (blocks == 2 && i % 2 == 0 && channels == Lanes)
                    c.vmovdqu(__xmmword_ptr[Output + PlaceOf(a + i++)], Xmm(from));
                else
                    Store(Output + PlaceOf(a + i), ChannelsOf(a + i), from, i % 2 * Lanes);
            }
        }

        // Where an accumulator's first byte goes, from the first one's.
        int PlaceOf(int accumulator) => displacement + accumulator / blocks * pixelStep + accumulator % blocks * Lanes;
    }

    private int ChannelsOf(int accumulator) => accumulator % blocks == blocks - 1 ? channels : Lanes;

    private void LoadOther()
    {
        c.mov(numbers, __qword_ptr[FunctionFrame.Argument + sumField]);
        c.mov(other, __qword_ptr[numbers + ConvSumNumbers.DistanceAt]);
        c.add(other, Output);
    }

    /// <summary>A pixel's bytes, which begin at byte 0 or 8 of a register, to memory, and no others.</summary>
    private void Store(AssemblerMemoryOperand to, int count, int register, int from)
    {
        AssemblerRegisterXMM x = Xmm(register);
        if (count == Lanes && from == 0)
            c.vmovq(__qword_ptr[to], x);
        else if (count == Lanes)
            c.vmovhps(__qword_ptr[to], x);
        else
        {
            int at = 0;
            if ((count & 4) != 0)
            {
                c.vpextrd(__dword_ptr[to], x, (sbyte)(from / 4));
                at = 4;
            }
            if ((count & 2) != 0)
            {
                c.vpextrw(__word_ptr[to + at], x, (sbyte)((from + at) / 2));
                at += 2;
            }
            if ((count & 1) != 0)
                c.vpextrb(__byte_ptr[to + at], x, (sbyte)(from + at));
        }
    }

    /// <summary>A pixel's bytes, and no others, to int32 lanes.</summary>
    private void Widen(int to, AssemblerMemoryOperand from, int count, bool signed)
    {
        if (count == Lanes)
        {
            if (signed)
                c.vpmovsxbd(Ymm(to), __qword_ptr[from]);
            else
                c.vpmovzxbd(Ymm(to), __qword_ptr[from]);
            return;
        }
        AssemblerRegisterXMM x = Xmm(to);
        c.vpxor(x, x, x);
        for (int at = 0; at < count; at++)
            c.vpinsrb(x, x, __byte_ptr[from + at], (sbyte)at);
        if (signed)
            c.vpmovsxbd(Ymm(to), x);
        else
            c.vpmovzxbd(Ymm(to), x);
    }
}
