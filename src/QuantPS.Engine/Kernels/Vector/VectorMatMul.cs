using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Products of activations by vectors: a panel of the right matrix is packed as it is multiplied, see <see cref="IPairTile"/>.</summary>
internal sealed unsafe class VectorMatMul<TTile>(MatMulProblem problem) : MatMulKernel where TTile : struct, IPairTile
{
    // Columns of a panel: enough to hide the packing of the left rows, few enough for the first-level cache with the depth of an attention head.
    private const int PanelColumns = 128;

    public override string Name => $"vector-matmul-{TTile.Rows}x{TTile.Columns}-{TTile.Isa}";

    public override void Run(ReadOnlyMemory<byte> left, ReadOnlyMemory<byte> right, MatMulStack stack, Memory<byte> output)
    {
        if (output.Length == 0)
            return;
        int panels = (stack.Columns + PanelColumns - 1) / PanelColumns;
        // Rows of one product are shared out only where there are too few products and panels for the threads.
        int jobs = stack.Products * panels, parts = jobs >= KernelThreads.Count ? 1 : Math.Min((KernelThreads.Count + jobs - 1) / jobs, (stack.Rows + TTile.Rows - 1) / TTile.Rows);
        using System.Buffers.MemoryHandle a = left.Pin(), b = right.Pin(), y = output.Pin();
        KernelThreads.Split(jobs * parts, new Work(problem, stack, (byte*)a.Pointer, (byte*)b.Pointer, (byte*)y.Pointer, panels, parts));
    }

    private readonly struct Work(MatMulProblem problem, MatMulStack stack, byte* left, byte* right, byte* output, int panels, int parts) : IKernelWork
    {
        /// <summary>Parts [from, to) of panels of products.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            int pairs = (stack.Depth + 1) / 2, width = Math.Min(PanelColumns, Padded(stack.Columns));
            int* panel = (int*)Scratch.Get(((long)pairs * width + (long)TTile.Rows * pairs + TTile.Rows * PanelColumns) * sizeof(int));
            int* rows = panel + (long)pairs * width, sums = rows + (long)TTile.Rows * pairs;
            for (int job = from, packed = -1; job < to; job++)
            {
                (int which, int part) = Math.DivRem(job, parts);
                (int product, int at) = Math.DivRem(which, panels);
                int column = at * PanelColumns, count = Math.Min(PanelColumns, stack.Columns - column);
                if (packed != which)
                    PackRight(right + (long)stack.Right[product] * stack.Depth * stack.Columns + column, count, panel);
                packed = which;
                int tiles = (stack.Rows + TTile.Rows - 1) / TTile.Rows, first = tiles * part / parts * TTile.Rows, end = Math.Min(stack.Rows, tiles * (part + 1) / parts * TTile.Rows);
                for (int row = first; row < end; row += TTile.Rows)
                {
                    int height = Math.Min(TTile.Rows, end - row);
                    PackLeft(left + ((long)stack.Left[product] * stack.Rows + row) * stack.Depth, height, rows);
                    for (int c = 0; c < count; c += TTile.Columns)
                        TTile.Multiply(rows, panel + (long)c * pairs, pairs, sums + c, PanelColumns);
                    for (int r = 0; r < height; r++)
                        Requantize(sums + r * PanelColumns, output + ((long)product * stack.Rows + row + r) * stack.Columns + column, count);
                }
            }
        }

        private static int Padded(int columns) => (columns + TTile.Columns - 1) / TTile.Columns * TTile.Columns;

        /// <summary>[tile of columns][pair][column], each int the two int16 of rows 2 p and 2 p + 1 less the zero point; 0 behind the ends.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void PackRight(byte* from, int count, int* to)
        {
            int pairs = (stack.Depth + 1) / 2, zero = problem.RightZeroPoint;
            for (int c = 0; c < count; c += TTile.Columns)
            {
                int width = Math.Min(TTile.Columns, count - c);
                for (int p = 0; p < pairs; p++, to += TTile.Columns)
                {
                    byte* low = from + (long)2 * p * stack.Columns + c, high = low + stack.Columns;
                    bool both = 2 * p + 1 < stack.Depth;
                    int i = 0;
                    for (; Avx2.IsSupported && both && i <= width - 16; i += 16)
                    {
                        Vector256<short> z = Vector256.Create((short)zero), l = Words(low + i, problem.RightSigned) - z, h = Words(high + i, problem.RightSigned) - z;
                        // Columns 0 to 3 and 8 to 11, and those between and behind them.
                        Vector256<int> even = Avx2.UnpackLow(l, h).AsInt32(), odd = Avx2.UnpackHigh(l, h).AsInt32();
                        Avx2.Permute2x128(even, odd, 0x20).Store(to + i);
                        Avx2.Permute2x128(even, odd, 0x31).Store(to + i + 8);
                    }
                    for (; both && i <= width - 8; i += 8)
                        ((Widen(low + i, problem.RightSigned, zero) & Vector256.Create(0xFFFF)) | (Widen(high + i, problem.RightSigned, zero) << 16)).Store(to + i);
                    for (; i < width; i++)
                        to[i] = Value(low[i], problem.RightSigned, zero) & 0xFFFF | (both ? Value(high[i], problem.RightSigned, zero) << 16 : 0);
                    for (; i < TTile.Columns; i++)
                        to[i] = 0;
                }
            }
        }

        /// <summary>[row][pair]; rows that are not there stay as they are, nobody looks at their sums.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void PackLeft(byte* from, int height, int* to)
        {
            int pairs = (stack.Depth + 1) / 2, zero = problem.LeftZeroPoint;
            for (int r = 0; r < height; r++, from += stack.Depth)
            {
                var row = (short*)(to + r * pairs);
                int k = 0;
                for (; k <= stack.Depth - 16; k += 16)
                    (Words(from + k, problem.LeftSigned) - Vector256.Create((short)zero)).Store(row + k);
                for (; k < stack.Depth; k++)
                    row[k] = (short)Value(from[k], problem.LeftSigned, zero);
                if (k < 2 * pairs)
                    row[k] = 0;
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Requantize(int* sums, byte* to, int count)
        {
            OutputZero zero = new(problem.OutputZeroPoint, problem.OutputSigned);
            int i = 0;
            if (Vector512.IsHardwareAccelerated)
            {
                Vector512<float> by = Vector512.Create(problem.Multiplier);
                for (; i < count; i += Lanes.Wide)
                {
                    Vector512<byte> bytes = Lanes.Pack(Steps(sums + i, by), Steps(sums + i + 16, by), Steps(sums + i + 32, by), Steps(sums + i + 48, by), zero);
                    Store(bytes, to + i, count - i);
                }
                return;
            }
            Vector256<float> factor = Vector256.Create(problem.Multiplier);
            for (; i < count; i += Lanes.Narrow)
            {
                Vector256<byte> bytes = Lanes.Pack(Steps(sums + i, factor), Steps(sums + i + 8, factor), Steps(sums + i + 16, factor), Steps(sums + i + 24, factor), zero);
                Store(bytes, to + i, count - i);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<int> Steps(int* sums, Vector512<float> factor) => Lanes.Round(Vector512.ConvertToSingle(Vector512.Load(sums)) * factor);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<int> Steps(int* sums, Vector256<float> factor) => Lanes.Round(Vector256.ConvertToSingle(Vector256.Load(sums)) * factor);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Store<TVector>(TVector bytes, byte* to, int count) where TVector : unmanaged
        {
            if (count >= sizeof(TVector))
                *(TVector*)to = bytes;
            else
                new ReadOnlySpan<byte>(&bytes, count).CopyTo(new Span<byte>(to, count));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static int Value(byte b, bool signed, int zero) => (signed ? (sbyte)b : b) - zero;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<short> Words(byte* b, bool signed)
        {
            if (signed)
            {
                (Vector128<short> low, Vector128<short> high) = Vector128.Widen(Vector128.Load((sbyte*)b));
                return Vector256.Create(low, high);
            }
            (Vector128<ushort> lower, Vector128<ushort> upper) = Vector128.Widen(Vector128.Load(b));
            return Vector256.Create(lower, upper).AsInt16();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<int> Widen(byte* b, bool signed, int zero) =>
            (signed ? Lanes.SignedAt(ref *b) : Lanes.UnsignedAt(ref *b)) - Vector256.Create(zero);
    }
}
