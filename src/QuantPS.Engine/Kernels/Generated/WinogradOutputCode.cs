using System.Runtime.InteropServices;
using Iced.Intel;
using QuantPS.Engine.Numerics.Requantization;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>What the code is called with. The code counts <see cref="Tiles"/> down.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct WinogradOutputCall
{
    /// <summary>The first tile's products of 8 output channels: [tile][point][16] int32.</summary>
    public int* Products;

    /// <summary>Working memory of <see cref="WinogradOutputCode.WorkBytes"/>.</summary>
    public int* Work;

    /// <summary>First output byte.</summary>
    public byte* Output;

    /// <summary>Numbers of the formula, see <see cref="WinogradOutputCode.ParameterBytes"/>.</summary>
    public byte* Parameters;

    /// <summary>How many tiles side by side, at least 1.</summary>
    public long Tiles;

    /// <summary>For code with a sum: its numbers.</summary>
    public ConvSumNumbers* Sum;
}

/// <summary>All that the code depends on. Equal specs share code.</summary>
internal sealed record WinogradOutputSpec
{
    /// <summary>Rows of a tile's outputs that there are, 1 to 4.</summary>
    public required int Rows { get; init; }

    /// <summary>Columns likewise.</summary>
    public required int Columns { get; init; }

    /// <summary>Output channels, 1 to 8.</summary>
    public required int Channels { get; init; }

    /// <summary>Bytes from a row of outputs to the next one.</summary>
    public required int OutputRowStep { get; init; }

    /// <summary>Bytes from a pixel's output to the next one's: all output channels.</summary>
    public required int OutputPixelStep { get; init; }

    /// <summary>Which steps the formula has.</summary>
    public required FormShape Form { get; init; }

    /// <summary>The sum that the outputs go into, if any.</summary>
    public SumShape? Sum { get; init; }
}

/// <summary>Machine code for the end of <see cref="WinogradTransform"/>: the 36 products of a tile to its 4 x 4 outputs, 8 channels at a time.</summary>
/// <remarks>Columns of products come first, into the working memory; then a row of four outputs at a time, which are requantized and stored. Lanes are output channels.</remarks>
internal static unsafe class WinogradOutputCode
{
    /// <summary>Bytes of working memory: four rows of six vectors.</summary>
    public const int WorkBytes = WinogradTransform.TileOutputs * WinogradTransform.TileInputs * VectorBytes;

    private const int VectorBytes = 32, Lanes = 8, PointBytes = 2 * VectorBytes;

    /// <summary>The code for a spec, to be run with a <see cref="WinogradOutputCall"/>.</summary>
    public static MachineCode For(WinogradOutputSpec spec) => MachineCode.For(spec, static (c, s) => new Generator(c, s).Emit());

    /// <summary>Bytes of the parameters of 8 channels: per-channel arrays of 32 bytes, the constants, then eight times the inverse of 9.</summary>
    public static int ParameterBytes(FormShape form) => InverseAt(form) + VectorBytes;

    /// <summary>Writes the parameters of the 8 channels from <paramref name="first"/> on; channels that do not exist get zeros.</summary>
    public static void WriteParameters(RequantizationForm form, FormShape shape, int[] start, int first, byte* to)
    {
        RequantizationCode.WriteChannels(form, start, [.. Enumerable.Range(first, Lanes)], to);
        RequantizationCode.WriteConstants(form, to + ConstantsAt(shape));
        new Span<int>(to + InverseAt(shape), Lanes).Fill(WinogradTransform.InverseOf9);
    }

    private static int ConstantsAt(FormShape form) => RequantizationCode.PerChannelArrays(form) * VectorBytes;

    private static int InverseAt(FormShape form) => ConstantsAt(form) + RequantizationCode.ConstantBytes;

    private sealed class Generator(Assembler c, WinogradOutputSpec spec)
    {
        // Results are registers 0 to 3; the products, and what is made of them, behind.
        private const int Point = 4, SumOfOnes = 10, DifferenceOfOnes = 11, SumOfTwos = 12, DifferenceOfTwos = 13, FourSums = 14, FourDifferences = 15;

        private readonly AssemblerRegister64 call = FunctionFrame.Argument, products = r8, work = r9, output = TileEnd256.Output, parameters = TileEnd256.Parameters;
        private readonly TileEnd256 tileEnd = new(c, spec.Form, spec.Sum, spec.Channels, spec.OutputPixelStep, ConstantsAt(spec.Form), (int)Marshal.OffsetOf<WinogradOutputCall>(nameof(WinogradOutputCall.Sum)));

        public void Emit()
        {
            c.mov(products, Field(nameof(WinogradOutputCall.Products)));
            c.mov(work, Field(nameof(WinogradOutputCall.Work)));
            c.mov(output, Field(nameof(WinogradOutputCall.Output)));
            c.mov(parameters, Field(nameof(WinogradOutputCall.Parameters)));
            Label tile = c.CreateLabel();
            c.Label(ref tile);
            for (int column = 0; column < WinogradTransform.TileInputs; column++)
            {
                Transform(row => __ymmword_ptr[products + (row * WinogradTransform.TileInputs + column) * PointBytes]);
                for (int row = 0; row < spec.Rows; row++)
                    c.vmovdqu(Work(row, column), Ymm(row));
            }
            for (int row = 0; row < spec.Rows; row++)
            {
                Transform(column => Work(row, column));
                for (int p = 0; p < spec.Columns; p++)
                    c.vpmulld(Ymm(p), Ymm(p), __ymmword_ptr[parameters + InverseAt(spec.Form)]);
                for (int p = 0; p < spec.Columns; p++)
                    c.vpsrad(Ymm(p), Ymm(p), WinogradTransform.Shift);
                for (int p = 0; p < spec.Columns; p++)
                    c.vpaddd(Ymm(p), Ymm(p), __ymmword_ptr[parameters]);
                tileEnd.Emit(spec.Columns, row * spec.OutputRowStep);
            }
            c.add(products, WinogradTransform.Points * PointBytes);
            c.add(output, WinogradTransform.TileOutputs * spec.OutputPixelStep);
            c.dec(Field(nameof(WinogradOutputCall.Tiles)));
            c.jnz(tile);
        }

        private AssemblerMemoryOperand Field(string field) => __qword_ptr[call + (int)Marshal.OffsetOf<WinogradOutputCall>(field)];

        private AssemblerMemoryOperand Work(int row, int column) => __ymmword_ptr[work + (row * WinogradTransform.TileInputs + column) * VectorBytes];

        /// <summary>A' of six vectors, with the factors that the weights' transform has left, to registers 0 to 3.</summary>
        private void Transform(Func<int, AssemblerMemoryOperand> from)
        {
            for (int i = 0; i < WinogradTransform.TileInputs; i++)
                c.vmovdqu(Ymm(Point + i), from(i));
            c.vpaddd(Ymm(SumOfOnes), Ymm(Point + 2), Ymm(Point + 3));
            c.vpsubd(Ymm(DifferenceOfOnes), Ymm(Point + 2), Ymm(Point + 3));
            c.vpaddd(Ymm(SumOfTwos), Ymm(Point + 4), Ymm(Point + 5));
            c.vpsubd(Ymm(DifferenceOfTwos), Ymm(Point + 4), Ymm(Point + 5));
            c.vpslld(Ymm(FourSums), Ymm(SumOfOnes), 2);
            c.vpslld(Ymm(FourDifferences), Ymm(DifferenceOfOnes), 2);
            // m0 - 4 (m2 + m3) + (m4 + m5)
            c.vpaddd(Ymm(0), Ymm(Point), Ymm(SumOfTwos));
            c.vpsubd(Ymm(0), Ymm(0), Ymm(FourSums));
            // -4 (m2 - m3) + 2 (m4 - m5)
            c.vpaddd(Ymm(1), Ymm(DifferenceOfTwos), Ymm(DifferenceOfTwos));
            c.vpsubd(Ymm(1), Ymm(1), Ymm(FourDifferences));
            // -4 (m2 + m3) + 4 (m4 + m5)
            c.vpsubd(Ymm(2), Ymm(SumOfTwos), Ymm(SumOfOnes));
            c.vpslld(Ymm(2), Ymm(2), 2);
            // -4 (m2 - m3) + 8 (m4 - m5) + 8 m1
            c.vpaddd(Ymm(3), Ymm(DifferenceOfTwos), Ymm(Point + 1));
            c.vpslld(Ymm(3), Ymm(3), 3);
            c.vpsubd(Ymm(3), Ymm(3), Ymm(FourDifferences));
        }
    }
}
