using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with. The code counts <see cref="Tiles"/> down.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ConvTileCall256
{
    /// <summary>Window of the first tile's first pixel.</summary>
    public byte* Input;

    /// <summary>The weights of <see cref="FittedQuads"/>: per quad 32 bytes, lane c holding the quad of output channel c.</summary>
    public sbyte* Weights;

    /// <summary>Where in the window each of these quads is read, in bytes.</summary>
    public int* Offsets;

    /// <summary>Where the weights of the largest groups end, behind them those of groups of one quad less, and so on to single quads.</summary>
    public fixed long Ends[FittedQuads.MostInGroup];

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula, see <see cref="ConvTileCode256.ParameterBytes"/>.</summary>
    public byte* Parameters;

    /// <summary>What the accumulators start from: [pixel][channel], the same for each tile.</summary>
    public int* Starts;

    /// <summary>How many tiles, at least 1.</summary>
    public long Tiles;

    /// <summary>For code with a sum: its numbers.</summary>
    public ConvSumNumbers* Sum;
}

/// <summary>Machine code for a convolution tile with AVX2.</summary>
/// <remarks>
/// Accumulator p: ymm number p, lane c = output channel c of pixel p. A quad: one broadcast of four input bytes a pixel, VPMADDUBSW with 32 weight bytes (16-bit lanes 2 c and
/// 2 c + 1: two products each), VPMADDWD with ones to add the two lanes of a channel in 32 bits, VPADDD. In a group of two to four quads their 16-bit lanes are added before
/// VPMADDWD; <see cref="FittedQuads"/> makes sure that nothing saturates. CPUs do two of these multiplications a cycle, and four such instructions in all, of which the broadcast is one (Zen 3): a
/// quad on its own takes four a pixel, in a group of four three and a quarter. One block at a time, because fewer channels agree on larger groups. Scalar equivalent of a lane: sum over k of x[k] * w[k], plus the start value, in which
/// bias and zero points are folded. There is no remainder in k: packed weights are zero behind the end of a run.
/// </remarks>
internal static unsafe class ConvTileCode256
{
    /// <summary>Accumulators, beside two registers for inputs, four for weights and one for the ones.</summary>
    public const int MostPixels = 8;

    /// <summary>Output channels of a tile.</summary>
    public const int Lanes = 8;

    private const int VectorBytes = 32;

    /// <summary>The code for a spec, to be run with a <see cref="ConvTileCall256"/>.</summary>
    public static MachineCode For(ConvTileSpec256 spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Bytes of the parameters of 8 channels: per-channel arrays of 32 bytes, the constants, then the starts of all pixels where none has its own.</summary>
    public static int ParameterBytes(FormShape form) => StartsAt(form) + MostPixels * VectorBytes;

    /// <summary>Where among the parameters the starts are, in bytes.</summary>
    public static int StartsAt(FormShape form) => ConstantsAt(form) + RequantizationCode.ConstantBytes;

    /// <summary>Writes the parameters of the 8 channels from <paramref name="first"/> on; channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, Lanes)], to);
        RequantizationCode.WriteConstants(form, to + ConstantsAt(shape));
        for (int p = 0; p < MostPixels; p++)
            new ReadOnlySpan<byte>(to, VectorBytes).CopyTo(new Span<byte>(to + StartsAt(shape) + p * VectorBytes, VectorBytes));
    }

    private static int ConstantsAt(FormShape form) => RequantizationCode.PerChannelArrays(form) * VectorBytes;

    private sealed class Generator(Assembler c, ConvTileSpec256 spec)
    {
        // Behind the accumulators: the ones, then two inputs, which become products, and a group's weights.
        private const int Ones = MostPixels, Input = Ones + 1, Weight = Input + 2;

        // At the end there are no products and no weights.
        private const int PackZero = 13, PackFloor = 14, PackOrder = 15, Upper = 12;

        private static readonly int[] Spare = [9, 10, 11, 12];

        private readonly int pixels = spec.Pixels.Count;
        private readonly VectorAssembler v = new(c, VectorBytes);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, input = r8, output = r10, parameters = r11, weights = rcx, offsets = r9, other = rax, numbers = rsi;

        // Where the quads of a group are. The last one is the parameters' register too: they are fetched when they are wanted.
        private readonly AssemblerRegister64[] at = [rax, rdx, rsi, r11];

        public void Emit()
        {
            c.mov(input, Field(nameof(ConvTileCall256.Input)));
            c.mov(output, Field(nameof(ConvTileCall256.Output)));
            c.vpcmpeqw(Ymm(Ones), Ymm(Ones), Ymm(Ones));
            c.vpsrlw(Ymm(Ones), Ymm(Ones), 15);
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            if (spec.Sum is not null)
                FetchOther();
            c.mov(other, Field(nameof(ConvTileCall256.Starts)));
            for (int p = 0; p < pixels; p++)
                v.vmovups(p, __ymmword_ptr[other + p * VectorBytes]);
            c.mov(weights, Field(nameof(ConvTileCall256.Weights)));
            c.mov(offsets, Field(nameof(ConvTileCall256.Offsets)));
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                Groups(FittedQuads.MostInGroup - i, i);
            c.mov(parameters, Field(nameof(ConvTileCall256.Parameters)));
            Requantize();
            c.add(input, spec.InputStep);
            c.add(output, pixels * spec.OutputPixelStep);
            c.dec(Field(nameof(ConvTileCall256.Tiles)));
            c.jnz(tile);
        }

        private AssemblerMemoryOperand Field(string field, int displacement = 0) => __qword_ptr[call + ((int)Marshal.OffsetOf<ConvTileCall256>(field) + displacement)];

        private AssemblerMemoryOperand Numbers(int array) => __ymmword_ptr[parameters + array * VectorBytes];

        /// <summary>All groups of so many quads, up to the weights' end.</summary>
        private void Groups(int quads, int end)
        {
            Label next = c.CreateLabel(), none = c.CreateLabel();
            AssemblerMemoryOperand last = Field(nameof(ConvTileCall256.Ends), end * sizeof(long));
            c.cmp(weights, last);
            c.je(none);
            c.Label(ref next);
            for (int q = 0; q < quads; q++)
            {
                c.mov(new AssemblerRegister32(at[q].Value - Register.RAX + Register.EAX), __dword_ptr[offsets + q * sizeof(int)]);
                v.vmovdqu(Weight + q, __ymmword_ptr[weights + q * VectorBytes]);
            }
            c.add(offsets, quads * sizeof(int));
            c.add(weights, quads * VectorBytes);
            for (int p = 0; p < pixels; p++)
            {
                for (int q = 0; q < quads; q++)
                {
                    int product = q == 0 ? Input : Input + 1;
                    c.vpbroadcastd(Ymm(product), __dword_ptr[input + at[q] + spec.Pixels.Values[p]]);
                    c.vpmaddubsw(Ymm(product), Ymm(product), Ymm(Weight + q));
                    if (q > 0)
                        c.vpaddw(Ymm(Input), Ymm(Input), Ymm(product));
                }
                c.vpmaddwd(Ymm(Input), Ymm(Input), Ymm(Ones));
                c.vpaddd(Ymm(p), Ymm(p), Ymm(Input));
            }
            c.cmp(weights, last);
            c.jne(next);
            c.Label(ref none);
            // A label wants an instruction of its own; the next loop may begin with another.
            c.nop();
        }

        /// <summary>What is added was written some layers ago, and lies in strides that no hardware foresees: fetched while the products are made.</summary>
        private void FetchOther()
        {
            LoadOther();
            for (int p = 0; p < pixels; p++)
                c.prefetcht0(__byte_ptr[other + p * spec.OutputPixelStep]);
        }

        private void LoadOther()
        {
            c.mov(numbers, Field(nameof(ConvTileCall256.Sum)));
            c.mov(other, __qword_ptr[numbers + ConvSumNumbers.DistanceAt]);
            c.add(other, output);
        }

        /// <summary>The accumulators of four pixels become 32 bytes; VPERMD brings the two quads of each together.</summary>
        private void Requantize()
        {
            RequantizationCode end = new(v, spec.Form, parameters, ConstantsAt(spec.Form));
            end.Convert([[.. Enumerable.Range(0, pixels)]], (array, _) => new(Numbers(array)), Spare);
            if (spec.Sum is { } sum)
            {
                LoadOther();
                end.Add(Enumerable.Range(0, pixels).Select(p => (p, (Action<int>)(to => Widen(to, other + p * spec.OutputPixelStep, sum.Signed)))), sum, numbers, Spare);
            }
            end.LoadOrder(PackOrder);
            if (spec.Sum is null)
                end.LoadPackConstants(PackZero, PackFloor);
            for (int p = 0; p < pixels; p += 4)
            {
                // Where the last four are not all there, the last one stands in; its copies are not stored.
                int count = Math.Min(4, pixels - p), last = pixels - 1;
                end.Pack([p, Math.Min(p + 1, last), Math.Min(p + 2, last), Math.Min(p + 3, last)], Spare[0], PackZero, PackFloor, spec.Sum is not null);
                v.vpermd(p, PackOrder, p);
                for (int i = 0; i < count; i++)
                {
                    if (i == 2)
                        c.vextracti128(Xmm(Upper), Ymm(p), 1);
                    Store(output + (p + i) * spec.OutputPixelStep, i < 2 ? p : Upper, i % 2 * Lanes);
                }
            }
        }

        /// <summary>A pixel's bytes, which begin at byte 0 or 8 of a register, to memory, and no others.</summary>
        private void Store(AssemblerMemoryOperand to, int register, int from)
        {
            AssemblerRegisterXMM x = Xmm(register);
            if (spec.Channels == Lanes && from == 0)
                c.vmovq(__qword_ptr[to], x);
            else if (spec.Channels == Lanes)
                c.vmovhps(__qword_ptr[to], x);
            else
            {
                int at = 0;
                if ((spec.Channels & 4) != 0)
                {
                    c.vpextrd(__dword_ptr[to], x, (sbyte)(from / 4));
                    at = 4;
                }
                if ((spec.Channels & 2) != 0)
                {
                    c.vpextrw(__word_ptr[to + at], x, (sbyte)((from + at) / 2));
                    at += 2;
                }
                if ((spec.Channels & 1) != 0)
                    c.vpextrb(__byte_ptr[to + at], x, (sbyte)(from + at));
            }
        }

        /// <summary>A pixel's bytes, and no others, to int32 lanes.</summary>
        private void Widen(int to, AssemblerMemoryOperand from, bool signed)
        {
            if (spec.Channels == Lanes)
            {
                if (signed)
                    c.vpmovsxbd(Ymm(to), __qword_ptr[from]);
                else
                    c.vpmovzxbd(Ymm(to), __qword_ptr[from]);
                return;
            }
            AssemblerRegisterXMM x = Xmm(to);
            c.vpxor(x, x, x);
            for (int at = 0; at < spec.Channels; at++)
                c.vpinsrb(x, x, __byte_ptr[from + at], (sbyte)at);
            if (signed)
                c.vpmovsxbd(Ymm(to), x);
            else
                c.vpmovzxbd(Ymm(to), x);
        }
    }
}
