using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The end of an AVX2 tile: int32 accumulators, 8 channels of a pixel each, to bytes in memory, with the sum that they go into if there is one.</summary>
/// <remarks>Accumulator p is ymm number p, up to 7. Behind them ymm 9 to 15 are used, and rax and rsi where there is a sum.</remarks>
/// <param name="c">Receives the instructions.</param>
/// <param name="form">Which steps the formula has.</param>
/// <param name="sum">The sum that the outputs go into, if any.</param>
/// <param name="channels">Channels that are stored, 1 to 8.</param>
/// <param name="pixelStep">Bytes from a pixel's output to the next one's.</param>
/// <param name="constantsAt">Where behind <see cref="Parameters"/> the formula's constants are; its per-channel arrays are in front of them.</param>
/// <param name="sumField">Where in the call's structure the pointer to the <see cref="ConvSumNumbers"/> is, in bytes.</param>
internal sealed class TileEnd256(Assembler c, FormShape form, SumShape? sum, int channels, int pixelStep, int constantsAt, int sumField)
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

    /// <summary>The accumulators of four pixels become 32 bytes; VPERMD brings the two quads of each together.</summary>
    /// <param name="pixels">How many pixels, up to 8.</param>
    /// <param name="displacement">Of the first one's output, in bytes.</param>
    public void Emit(int pixels, int displacement)
    {
        RequantizationCode end = new(v, form, Parameters, constantsAt);
        end.Convert([[.. Enumerable.Range(0, pixels)]], (array, _) => new(__ymmword_ptr[Parameters + array * VectorBytes]), Spare);
        if (sum is { } shape)
        {
            LoadOther();
            end.Add(Enumerable.Range(0, pixels).Select(p => (p, (Action<int>)(to => Widen(to, other + (displacement + p * pixelStep), shape.Signed)))), shape, numbers, Spare);
        }
        end.LoadOrder(PackOrder);
        if (sum is null)
            end.LoadPackConstants(PackZero, PackFloor);
        for (int p = 0; p < pixels; p += 4)
        {
            // Where the last four are not all there, the last one stands in; its copies are not stored.
            int count = Math.Min(4, pixels - p), last = pixels - 1;
            end.Pack([p, Math.Min(p + 1, last), Math.Min(p + 2, last), Math.Min(p + 3, last)], Spare[0], PackZero, PackFloor, sum is not null);
            v.vpermd(p, PackOrder, p);
            for (int i = 0; i < count; i++)
            {
                if (i == 2)
                    c.vextracti128(Xmm(Upper), Ymm(p), 1);
                Store(Output + (displacement + (p + i) * pixelStep), i < 2 ? p : Upper, i % 2 * Lanes);
            }
        }
    }

    private void LoadOther()
    {
        c.mov(numbers, __qword_ptr[FunctionFrame.Argument + sumField]);
        c.mov(other, __qword_ptr[numbers + ConvSumNumbers.DistanceAt]);
        c.add(other, Output);
    }

    /// <summary>A pixel's bytes, which begin at byte 0 or 8 of a register, to memory, and no others.</summary>
    private void Store(AssemblerMemoryOperand to, int register, int from)
    {
        AssemblerRegisterXMM x = Xmm(register);
        if (channels == Lanes && from == 0)
            c.vmovq(__qword_ptr[to], x);
        else if (channels == Lanes)
            c.vmovhps(__qword_ptr[to], x);
        else
        {
            int at = 0;
            if ((channels & 4) != 0)
            {
                c.vpextrd(__dword_ptr[to], x, (sbyte)(from / 4));
                at = 4;
            }
            if ((channels & 2) != 0)
            {
                c.vpextrw(__word_ptr[to + at], x, (sbyte)((from + at) / 2));
                at += 2;
            }
            if ((channels & 1) != 0)
                c.vpextrb(__byte_ptr[to + at], x, (sbyte)(from + at));
        }
    }

    /// <summary>A pixel's bytes, and no others, to int32 lanes.</summary>
    private void Widen(int to, AssemblerMemoryOperand from, bool signed)
    {
        if (channels == Lanes)
        {
            if (signed)
                c.vpmovsxbd(Ymm(to), __qword_ptr[from]);
            else
                c.vpmovzxbd(Ymm(to), __qword_ptr[from]);
            return;
        }
        AssemblerRegisterXMM x = Xmm(to);
        c.vpxor(x, x, x);
        for (int at = 0; at < channels; at++)
            c.vpinsrb(x, x, __byte_ptr[from + at], (sbyte)at);
        if (signed)
            c.vpmovsxbd(Ymm(to), x);
        else
            c.vpmovzxbd(Ymm(to), x);
    }
}
