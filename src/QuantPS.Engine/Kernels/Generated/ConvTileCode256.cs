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

    /// <summary>The weights of <see cref="FittedQuads"/>: per quad and block 32 bytes, lane c holding the quad of output channel c.</summary>
    public sbyte* Weights;

    /// <summary>Where in the window each of these quads is read, in bytes.</summary>
    public int* Offsets;

    /// <summary>Where the weights of the largest groups end, behind them those of groups of one quad less, and so on to single quads.</summary>
    public fixed long Ends[FittedQuads.MostInGroup];

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula, see <see cref="ConvTileCode256.ParameterBytes"/>; of two blocks one behind the other.</summary>
    public byte* Parameters;

    /// <summary>What the accumulators of a tile start from that has no starts of its own: [block][<see cref="ConvTileCode256.MostPixels"/>][channel].</summary>
    public int* UsualStarts;

    /// <summary>Points to the first tile's pointer to starts of its own; null where it has none. The code moves it.</summary>
    public int** Starts;

    /// <summary>Bytes from there to the next tile's pointer: 8, or 0 where no tile has its own.</summary>
    public long StartsStep;

    /// <summary>The code keeps here where a tile's starts are.</summary>
    public int* TileStarts;

    /// <summary>How many tiles, at least 1.</summary>
    public long Tiles;

    /// <summary>For code with a sum: its numbers.</summary>
    public ConvSumNumbers* Sum;
}

/// <summary>Machine code for a convolution tile with AVX2.</summary>
/// <remarks>
/// Accumulator: lane c = output channel c of a block of a pixel, in ymm number pixel * blocks + block. A quad: one broadcast of four input bytes a pixel, and for each block
/// VPMADDUBSW with 32 weight bytes (16-bit lanes 2 c and 2 c + 1: two products each), VPMADDWD with ones to add the two lanes of a channel in 32 bits, VPADDD. In a group of two
/// to four quads their 16-bit lanes are added before VPMADDWD; <see cref="FittedQuads"/> makes sure that nothing saturates. One block has 8 pixels at once; two have 4, go through
/// the weights again for the rest, and share the broadcasts. One block at a time is for weights of which two agree on much smaller groups only. Scalar equivalent of a lane: sum
/// over k of x[k] * w[k], plus the start value, in which bias and zero points are folded. There is no remainder in k: packed weights are zero behind the end of a run.
/// </remarks>
internal static unsafe class ConvTileCode256
{
    /// <summary>Pixels of a tile at most.</summary>
    public const int MostPixels = 8;

    /// <summary>Output channels of a block.</summary>
    public const int Lanes = 8;

    /// <summary>Blocks of a tile at most.</summary>
    public const int MostBlocks = 2;

    private const int VectorBytes = 32, Registers = 16, Accumulators = 8;

    /// <summary>The code for a spec, to be run with a <see cref="ConvTileCall256"/>.</summary>
    public static MachineCode For(ConvTileSpec256 spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Instructions that a tile of <see cref="MostPixels"/> takes for a group of so many quads: what bounds the loop.</summary>
    public static int InstructionsOfGroup(int blocks, int quads)
    {
        int parts = MostPixels * blocks / Accumulators, inRegisters = Math.Min(quads * blocks, Registers - FirstWeight(blocks));
        // Places, weights, the loop; of each pixel broadcasts, products and their sums, two widening ones a block.
        return parts * (quads + inRegisters + 3) + MostPixels * (quads + 2 * quads * blocks + blocks);
    }

    /// <summary>Bytes of the parameters of a block: per-channel arrays of 32 bytes, then the constants.</summary>
    public static int ParameterBytes(FormShape form) => ConstantsAt(form) + RequantizationCode.ConstantBytes;

    /// <summary>Writes the parameters of the 8 channels from <paramref name="first"/> on; channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, Lanes)], to);
        RequantizationCode.WriteConstants(form, to + ConstantsAt(shape));
    }

    /// <summary>Writes what all pixels of a tile start from in a block whose parameters are written.</summary>
    public static void WriteStarts(byte* parameters, int* to)
    {
        for (int p = 0; p < MostPixels; p++)
            new ReadOnlySpan<int>(parameters, Lanes).CopyTo(new Span<int>(to + p * Lanes, Lanes));
    }

    // Behind the accumulators: the ones, a group's sums of each block, a quad's inputs and products of the first block, and weights. A single block has one sum only,
    // the inputs become the products, and the weights of a group are all in registers.
    private const int Ones = Accumulators, Sum = Ones + 1;

    private static int FirstWeight(int blocks) => Sum + 2 * blocks;

    private static int ConstantsAt(FormShape form) => RequantizationCode.PerChannelArrays(form) * VectorBytes;

    private sealed class Generator(Assembler c, ConvTileSpec256 spec)
    {
        private readonly int blocks = spec.Blocks, inputs = Sum + spec.Blocks, products = Sum + 2 * spec.Blocks - 1, weight = FirstWeight(spec.Blocks);
        private readonly VectorAssembler v = new(c, VectorBytes);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, input = r8, output = TileEnd256.Output, parameters = TileEnd256.Parameters, weights = rcx, offsets = r9, starts = rax, next = rdx;
        private readonly TileEnd256 tileEnd = new(c, spec.Form, spec.Sum, spec.Channels, spec.OutputPixelStep, ConstantsAt(spec.Form), (int)Marshal.OffsetOf<ConvTileCall256>(nameof(ConvTileCall256.Sum)),
            spec.Blocks, ParameterBytes(spec.Form));

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
            int[] pixels = [.. spec.Pixels.Values];
            tileEnd.FetchOther(pixels.Length);
            c.mov(next, Field(nameof(ConvTileCall256.Starts)));
            c.mov(starts, __qword_ptr[next]);
            c.add(next, Field(nameof(ConvTileCall256.StartsStep)));
            c.mov(Field(nameof(ConvTileCall256.Starts)), next);
            c.test(starts, starts);
            c.cmovz(starts, Field(nameof(ConvTileCall256.UsualStarts)));
            int atOnce = Accumulators / blocks;
            // As equal as can be: 5 pixels are 2 and 3.
            int parts = (pixels.Length + atOnce - 1) / atOnce;
            if (parts > 1)
                c.mov(Field(nameof(ConvTileCall256.TileStarts)), starts);
            for (int part = 0, first = 0, end; part < parts; part++, first = end)
            {
                end = (part + 1) * pixels.Length / parts;
                if (part > 0)
                    c.mov(starts, Field(nameof(ConvTileCall256.TileStarts)));
                for (int p = first; p < end; p++)
                    for (int b = 0; b < blocks; b++)
                        v.vmovups((p - first) * blocks + b, __ymmword_ptr[starts + (b * MostPixels + p) * VectorBytes]);
                c.mov(weights, Field(nameof(ConvTileCall256.Weights)));
                c.mov(offsets, Field(nameof(ConvTileCall256.Offsets)));
                for (int i = 0; i < FittedQuads.MostInGroup; i++)
                    Groups(pixels[first..end], FittedQuads.MostInGroup - i, i);
                c.mov(parameters, Field(nameof(ConvTileCall256.Parameters)));
                tileEnd.Emit(end - first, first * spec.OutputPixelStep);
            }
            c.add(input, spec.InputStep);
            c.add(output, pixels.Length * spec.OutputPixelStep);
            c.dec(Field(nameof(ConvTileCall256.Tiles)));
            c.jnz(tile);
        }

        private AssemblerMemoryOperand Field(string field, int displacement = 0) => __qword_ptr[call + ((int)Marshal.OffsetOf<ConvTileCall256>(field) + displacement)];

        /// <summary>All groups of so many quads, up to the weights' end.</summary>
        private void Groups(int[] pixels, int quads, int end)
        {
            Label next = c.CreateLabel(), none = c.CreateLabel();
            AssemblerMemoryOperand last = Field(nameof(ConvTileCall256.Ends), end * sizeof(long));
            c.cmp(weights, last);
            c.je(none);
            c.Label(ref next);
            int inRegisters = Math.Min(quads * blocks, Registers - weight);
            for (int q = 0; q < quads; q++)
                c.mov(new AssemblerRegister32(at[q].Value - Register.RAX + Register.EAX), __dword_ptr[offsets + q * sizeof(int)]);
            for (int w = 0; w < inRegisters; w++)
                v.vmovdqu(weight + w, Weights(w));
            for (int p = 0; p < pixels.Length; p++)
            {
                for (int q = 0; q < quads; q++)
                {
                    c.vpbroadcastd(Ymm(inputs), __dword_ptr[input + at[q] + pixels[p]]);
                    // The last block's products take the inputs' place.
                    for (int b = 0; b < blocks; b++)
                        Multiply(q == 0 ? Sum + b : b == blocks - 1 ? inputs : products, q * blocks + b);
                    for (int b = 0; b < blocks && q > 0; b++)
                        c.vpaddw(Ymm(Sum + b), Ymm(Sum + b), Ymm(b == blocks - 1 ? inputs : products));
                }
                for (int b = 0; b < blocks; b++)
                    c.vpmaddwd(Ymm(Sum + b), Ymm(Sum + b), Ymm(Ones));
                for (int b = 0; b < blocks; b++)
                    c.vpaddd(Ymm(p * blocks + b), Ymm(p * blocks + b), Ymm(Sum + b));
            }
            // Not sooner: weights that are in no register are read from there.
            c.add(offsets, quads * sizeof(int));
            c.add(weights, quads * blocks * VectorBytes);
            c.cmp(weights, last);
            c.jne(next);
            c.Label(ref none);
            // A label wants an instruction of its own; the next loop may begin with another.
            c.nop();

            AssemblerMemoryOperand Weights(int which) => __ymmword_ptr[weights + which * VectorBytes];

            void Multiply(int to, int which)
            {
                if (which < inRegisters)
                    c.vpmaddubsw(Ymm(to), Ymm(inputs), Ymm(weight + which));
                else
                    c.vpmaddubsw(Ymm(to), Ymm(inputs), Weights(which));
            }
        }
    }
}
