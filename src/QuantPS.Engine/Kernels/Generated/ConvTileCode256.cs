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

    /// <summary>What the accumulators of a tile start from that has no starts of its own: [pixel][channel].</summary>
    public int* UsualStarts;

    /// <summary>Points to the first tile's pointer to starts of its own; null where it has none. The code moves it.</summary>
    public int** Starts;

    /// <summary>Bytes from there to the next tile's pointer: 8, or 0 where no tile has its own.</summary>
    public long StartsStep;

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

        private readonly int pixels = spec.Pixels.Count;
        private readonly VectorAssembler v = new(c, VectorBytes);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, input = r8, output = TileEnd256.Output, parameters = TileEnd256.Parameters, weights = rcx, offsets = r9, starts = rax, next = rdx;
        private readonly TileEnd256 tileEnd = new(c, spec.Form, spec.Sum, spec.Channels, spec.OutputPixelStep, ConstantsAt(spec.Form), (int)Marshal.OffsetOf<ConvTileCall256>(nameof(ConvTileCall256.Sum)));

        // Where the quads of a group are. The last one is the parameters' register too: they are fetched when they are wanted.
        private readonly AssemblerRegister64[] at = [rax, rdx, rsi, TileEnd256.Parameters];

        public void Emit()
        {
            c.mov(input, Field(nameof(ConvTileCall256.Input)));
            c.mov(output, Field(nameof(ConvTileCall256.Output)));
            c.vpcmpeqw(Ymm(Ones), Ymm(Ones), Ymm(Ones));
            c.vpsrlw(Ymm(Ones), Ymm(Ones), 15);
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            tileEnd.FetchOther(pixels);
            c.mov(next, Field(nameof(ConvTileCall256.Starts)));
            c.mov(starts, __qword_ptr[next]);
            c.add(next, Field(nameof(ConvTileCall256.StartsStep)));
            c.mov(Field(nameof(ConvTileCall256.Starts)), next);
            c.test(starts, starts);
            c.cmovz(starts, Field(nameof(ConvTileCall256.UsualStarts)));
            for (int p = 0; p < pixels; p++)
                v.vmovups(p, __ymmword_ptr[starts + p * VectorBytes]);
            c.mov(weights, Field(nameof(ConvTileCall256.Weights)));
            c.mov(offsets, Field(nameof(ConvTileCall256.Offsets)));
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                Groups(FittedQuads.MostInGroup - i, i);
            c.mov(parameters, Field(nameof(ConvTileCall256.Parameters)));
            tileEnd.Emit(pixels, 0);
            c.add(input, spec.InputStep);
            c.add(output, pixels * spec.OutputPixelStep);
            c.dec(Field(nameof(ConvTileCall256.Tiles)));
            c.jnz(tile);
        }

        private AssemblerMemoryOperand Field(string field, int displacement = 0) => __qword_ptr[call + ((int)Marshal.OffsetOf<ConvTileCall256>(field) + displacement)];

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
    }
}
