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

    /// <summary>The weights of <see cref="FittedQuads"/>: per quad 32 bytes a block, lane c holding the quad of output channel c.</summary>
    public sbyte* Weights;

    /// <summary>Where in the window each of these quads is read, in bytes.</summary>
    public int* Offsets;

    /// <summary>How many doubles, and behind them singles, there are.</summary>
    public long Doubles, Singles;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula, see <see cref="ConvTileCode256.ParameterBytes"/>.</summary>
    public byte* Parameters;

    /// <summary>How many tiles, at least 1.</summary>
    public long Tiles;

    /// <summary>For code with a sum: its numbers.</summary>
    public ConvSumNumbers* Sum;
}

/// <summary>Machine code for a convolution tile with AVX2.</summary>
/// <remarks>
/// Accumulator (p, b): ymm number p * blocks + b, lane c = output channel 8 b + c of pixel p. A quad: one broadcast of four input bytes a pixel; for each block VPMADDUBSW with
/// 32 weight bytes (16-bit lanes 2 c and 2 c + 1: two products each), VPMADDWD with ones to add the two lanes of a channel in 32 bits, VPADDD. Of a double, the 16-bit lanes of
/// both quads are added before VPMADDWD; <see cref="FittedQuads"/> makes sure that nothing saturates. Two multiplications a cycle are the bound, so a quad of 32 products a block costs
/// one cycle, in a double three quarters. Scalar equivalent of a lane: sum over k of x[k] * w[k], plus the start value, in which bias and zero points are folded.
/// There is no remainder in k: packed weights are zero behind the end of a run.
/// </remarks>
internal static unsafe class ConvTileCode256
{
    /// <summary>Two accumulators each, beside three registers for weights, four for products and one for the ones.</summary>
    public const int MostPixels = 4;

    /// <summary>Output channels of a block.</summary>
    public const int BlockLanes = 8;

    private const int VectorBytes = 32;

    /// <summary>The code for a spec, to be run with a <see cref="ConvTileCall256"/>.</summary>
    public static MachineCode For(ConvTileSpec256 spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Bytes of the parameters of a pair of blocks: per-channel arrays of 32 bytes a block, then the constants.</summary>
    public static int ParameterBytes(FormShape form) => ConstantsAt(form) + RequantizationCode.ConstantBytes;

    /// <summary>Writes the parameters of the 16 channels from <paramref name="first"/> on; channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, 2 * BlockLanes)], to);
        RequantizationCode.WriteConstants(form, to + ConstantsAt(shape));
    }

    private static int ConstantsAt(FormShape form) => RequantizationCode.PerChannelArrays(form) * 2 * VectorBytes;

    private sealed class Generator(Assembler c, ConvTileSpec256 spec)
    {
        // Behind the accumulators: products of the first and of the second quad of a double, and their sums; the ones; weights.
        private const int First = 8, Second = 9, Product = 10, Other = 11, Ones = 12, Weight = 13;

        // At the end there are no products and no weights.
        private const int PackZero = 13, PackFloor = 14, PackOrder = 15;

        private readonly int blocks = spec.ChannelBlocks, pixels = spec.Pixels.Count;
        private readonly VectorAssembler v = new(c, VectorBytes);
        private readonly AssemblerRegister64 call = FunctionFrame.Argument, input = r8, output = r10, parameters = r11, w = rcx, offset = r9, left = rdx, one = rax, two = rsi;

        private int QuadBytes => blocks * VectorBytes;

        public void Emit()
        {
            c.mov(input, Field(nameof(ConvTileCall256.Input)));
            c.mov(output, Field(nameof(ConvTileCall256.Output)));
            c.mov(parameters, Field(nameof(ConvTileCall256.Parameters)));
            c.vpcmpeqw(Ymm(Ones), Ymm(Ones), Ymm(Ones));
            c.vpsrlw(Ymm(Ones), Ymm(Ones), 15);
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            if (spec.Sum is not null)
                FetchOther();
            for (int p = 0; p < pixels; p++)
            {
                for (int b = 0; b < blocks; b++)
                {
                    if (p == 0)
                        v.vmovups(Accumulator(p, b), Numbers(0, b));
                    else
                        c.vmovaps(Ymm(Accumulator(p, b)), Ymm(Accumulator(0, b)));
                }
            }
            c.mov(w, Field(nameof(ConvTileCall256.Weights)));
            c.mov(offset, Field(nameof(ConvTileCall256.Offsets)));
            Loop(nameof(ConvTileCall256.Doubles), Double);
            Loop(nameof(ConvTileCall256.Singles), Single);
            Requantize();
            c.add(input, spec.InputStep);
            c.add(output, pixels * spec.OutputPixelStep);
            c.dec(Field(nameof(ConvTileCall256.Tiles)));
            c.jnz(tile);
        }

        private AssemblerMemoryOperand Field(string field) => __qword_ptr[call + (int)Marshal.OffsetOf<ConvTileCall256>(field)];

        private int Accumulator(int pixel, int block) => pixel * blocks + block;

        private AssemblerMemoryOperand Numbers(int array, int block) => __ymmword_ptr[parameters + (array * 2 + block) * VectorBytes];

        private AssemblerMemoryOperand Weights(int quad, int block) => __ymmword_ptr[w + quad * QuadBytes + block * VectorBytes];

        private void Loop(string count, Action body)
        {
            Label next = c.CreateLabel(), none = c.CreateLabel();
            c.mov(left, Field(count));
            c.test(left, left);
            c.jz(none);
            c.Label(ref next);
            body();
            c.dec(left);
            c.jnz(next);
            c.Label(ref none);
            // A label wants an instruction of its own, as the next loop begins with one.
            c.nop();
        }

        /// <summary>Two quads. All weights but the last are kept in registers: two loads of 32 bytes a cycle are the other bound.</summary>
        private void Double()
        {
            c.mov(Low(one), __dword_ptr[offset]);
            c.mov(Low(two), __dword_ptr[offset + 4]);
            for (int i = 0; i < 2 * blocks - 1; i++)
                v.vmovdqu(Weight + i, Weights(i / blocks, i % blocks));
            for (int p = 0; p < pixels; p++)
            {
                Broadcast(First, one, p);
                Broadcast(Second, two, p);
                for (int b = 0; b < blocks; b++)
                {
                    // The last block's products take the inputs' place.
                    bool last = b == blocks - 1;
                    int product = last ? First : Product, other = last ? Second : Other;
                    c.vpmaddubsw(Ymm(product), Ymm(First), Ymm(Weight + b));
                    if (last)
                        c.vpmaddubsw(Ymm(other), Ymm(Second), Weights(1, b));
                    else
                        c.vpmaddubsw(Ymm(other), Ymm(Second), Ymm(Weight + blocks + b));
                    c.vpaddw(Ymm(product), Ymm(product), Ymm(other));
                    Add(Accumulator(p, b), product);
                }
            }
            c.add(offset, 2 * sizeof(int));
            c.add(w, 2 * QuadBytes);
        }

        private void Single()
        {
            c.mov(Low(one), __dword_ptr[offset]);
            for (int b = 0; b < blocks; b++)
                v.vmovdqu(Weight + b, Weights(0, b));
            for (int p = 0; p < pixels; p++)
            {
                Broadcast(First, one, p);
                for (int b = 0; b < blocks; b++)
                {
                    int product = b == blocks - 1 ? First : Product;
                    c.vpmaddubsw(Ymm(product), Ymm(First), Ymm(Weight + b));
                    Add(Accumulator(p, b), product);
                }
            }
            c.add(offset, sizeof(int));
            c.add(w, QuadBytes);
        }

        private void Broadcast(int to, AssemblerRegister64 at, int pixel) => c.vpbroadcastd(Ymm(to), __dword_ptr[input + at + spec.Pixels.Values[pixel]]);

        private void Add(int accumulator, int product)
        {
            c.vpmaddwd(Ymm(product), Ymm(product), Ymm(Ones));
            c.vpaddd(Ymm(accumulator), Ymm(accumulator), Ymm(product));
        }

        private static AssemblerRegister32 Low(AssemblerRegister64 register) => register == rax ? eax : esi;

        /// <summary>What is added was written some layers ago, and lies in strides that no hardware foresees: fetched while the products are made.</summary>
        private void FetchOther()
        {
            LoadOther();
            for (int p = 0; p < pixels; p++)
                c.prefetcht0(__byte_ptr[one + p * spec.OutputPixelStep]);
        }

        private void LoadOther()
        {
            c.mov(two, Field(nameof(ConvTileCall256.Sum)));
            c.mov(one, __qword_ptr[two + ConvSumNumbers.DistanceAt]);
            c.add(one, output);
        }

        /// <summary>Four accumulators at a time become 32 bytes; VPERMD brings the two quads of each together. The four are two pixels of two blocks, or four pixels of one.</summary>
        private void Requantize()
        {
            RequantizationCode end = new(v, spec.Form, parameters, ConstantsAt(spec.Form));
            int[][] byBlock = [.. Enumerable.Range(0, blocks).Select(b => Enumerable.Range(0, pixels).Select(p => Accumulator(p, b)).ToArray())];
            end.Convert(byBlock, (array, block) => new(Numbers(array, block)), [First, Second, Product, Other]);
            if (spec.Sum is { } sum)
            {
                LoadOther();
                IEnumerable<(int Pixel, int Block)> sums = Enumerable.Range(0, pixels).SelectMany(p => Enumerable.Range(0, blocks).Select(b => (p, b)));
                end.Add(sums.Select(s => (Accumulator(s.Pixel, s.Block), (Action<int>)(to => Widen(to, one + s.Pixel * spec.OutputPixelStep + s.Block * BlockLanes,
                    s.Block == blocks - 1 ? spec.LastBlockChannels : BlockLanes, sum.Signed)))), sum, two, [First, Second, Product, Other]);
            }
            end.LoadOrder(PackOrder);
            if (spec.Sum is null)
                end.LoadPackConstants(PackZero, PackFloor);
            int pixelsAtOnce = 4 / blocks, channels = (blocks - 1) * BlockLanes + spec.LastBlockChannels, pixelBytes = blocks * BlockLanes;
            for (int p = 0; p < pixels; p += pixelsAtOnce)
            {
                // Where the last four are not all there, the last accumulator stands in; its copies are not stored.
                int first = Accumulator(p, 0), last = Accumulator(pixels - 1, blocks - 1);
                end.Pack([first, Math.Min(first + 1, last), Math.Min(first + 2, last), Math.Min(first + 3, last)], First, PackZero, PackFloor, spec.Sum is not null);
                v.vpermd(first, PackOrder, first);
                for (int i = 0; i < Math.Min(pixelsAtOnce, pixels - p); i++)
                {
                    int at = i * pixelBytes, half = at / 16;
                    if (half == 1 && at % 16 == 0)
                        c.vextracti128(Xmm(Second), Ymm(first), 1);
                    Store(output + (p + i) * spec.OutputPixelStep, half == 0 ? first : Second, at % 16, channels);
                }
            }
        }

        /// <summary>Bytes [from, from + count) of a register's lower half to memory, and no others.</summary>
        private void Store(AssemblerMemoryOperand to, int register, int from, int count)
        {
            AssemblerRegisterXMM x = Xmm(register);
            if (count == 16)
            {
                c.vmovdqu(__xmmword_ptr[to], x);
                return;
            }
            for (int at = from, end = from + count; at < end;)
            {
                int size = end - at >= 8 ? 8 : end - at >= 4 ? 4 : end - at >= 2 ? 2 : 1, done = at - from;
                if (size == 8 && at == 0)
                    c.vmovq(__qword_ptr[to + done], x);
                else if (size == 8)
                    c.vpextrq(__qword_ptr[to + done], x, 1);
                else if (size == 4)
                    c.vpextrd(__dword_ptr[to + done], x, (sbyte)(at / 4));
                else if (size == 2)
                    c.vpextrw(__word_ptr[to + done], x, (sbyte)(at / 2));
                else
                    c.vpextrb(__byte_ptr[to + done], x, (sbyte)at);
                at += size;
            }
        }

        /// <summary>So many bytes, at most 8, and no others, to int32 lanes.</summary>
        private void Widen(int to, AssemblerMemoryOperand from, int count, bool signed)
        {
            if (count == 8)
            {
                if (signed)
                    c.vpmovsxbd(Ymm(to), __qword_ptr[from]);
                else
                    c.vpmovzxbd(Ymm(to), __qword_ptr[from]);
                return;
            }
            AssemblerRegisterXMM x = Xmm(to);
            c.vpxor(x, x, x);
            int at = 0;
            if (count >= 4)
            {
                c.vpinsrd(x, x, __dword_ptr[from], 0);
                at = 4;
            }
            for (; at < count; at++)
                c.vpinsrb(x, x, __byte_ptr[from + at], (sbyte)at);
            if (signed)
                c.vpmovsxbd(Ymm(to), x);
            else
                c.vpmovzxbd(Ymm(to), x);
        }
    }
}
