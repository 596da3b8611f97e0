using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using QuantPS.Engine.Kernels.Generated;
using static Iced.Intel.AssemblerRegisters;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>Functions with Windows' frame are called here as Windows would call them, also on systems that call otherwise: the argument comes in rcx,
/// and rdi, rsi and xmm6 to xmm15 must be what they were.</summary>
public unsafe class CallingConventionTests
{
    private const int Function = 0, Result = 8, Integers = 16, Vectors = 64, Bytes = Vectors + 10 * 16;

    [Fact]
    public void Windows_frame_takes_rcx_and_keeps_what_callers_own()
    {
        Assert.SkipUnless(X86Base.X64.IsSupported && !OperatingSystem.IsWindows(), "Needs x64 and the System V convention.");
        using ExecutableMemory function = new(MachineCode.Assemble("spoils everything that generated code may use", static (c, _) =>
        {
            // Reads its argument, answers in the memory that it points to, and leaves nothing as it was.
            c.mov(rax, __qword_ptr[FunctionFrame.Argument + Result]);
            c.add(rax, 1);
            c.mov(__qword_ptr[FunctionFrame.Argument + Result], rax);
            foreach (AssemblerRegister64 r in new[] { rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11 })
                c.xor(r, r);
            for (int i = 0; i < 16; i++)
                c.vpxor(VectorRegisters.Xmm(i), VectorRegisters.Xmm(i), VectorRegisters.Xmm(i));
        }, windows: true));
        using ExecutableMemory caller = new(CallAsWindowsDoes());
        byte* block = stackalloc byte[Bytes];
        *(nint*)(block + Function) = function.Address;
        *(long*)(block + Result) = 41;
        var before = new byte[Bytes];
        new Random(3).NextBytes(before.AsSpan(Integers));
        before.AsSpan(Integers).CopyTo(new Span<byte>(block + Integers, Bytes - Integers));

        ((delegate* unmanaged<void*, void>)caller.Address)(block);

        Assert.Equal(42, *(long*)(block + Result));
        Assert.Equal(before.AsSpan(Integers).ToArray(), new Span<byte>(block + Integers, Bytes - Integers).ToArray());
    }

    /// <summary>A System V function: loads rsi, rdi and xmm6 to xmm15 from the block, calls the function with the block in rcx, writes them back.</summary>
    private static byte[] CallAsWindowsDoes()
    {
        Assembler c = new(64);
        c.push(rbx);
        c.mov(rbx, rdi);
        for (int i = 0; i < 10; i++)
            c.vmovups(VectorRegisters.Xmm(6 + i), __xmmword_ptr[rbx + (Vectors + i * 16)]);
        c.mov(rsi, __qword_ptr[rbx + Integers]);
        c.mov(rdi, __qword_ptr[rbx + (Integers + 8)]);
        c.mov(rcx, rbx);
        // The callee's 32 bytes of home space; the push above has put the stack on 16 bytes.
        c.sub(rsp, 32);
        c.call(__qword_ptr[rbx + Function]);
        c.add(rsp, 32);
        c.mov(__qword_ptr[rbx + Integers], rsi);
        c.mov(__qword_ptr[rbx + (Integers + 8)], rdi);
        for (int i = 0; i < 10; i++)
            c.vmovups(__xmmword_ptr[rbx + (Vectors + i * 16)], VectorRegisters.Xmm(6 + i));
        c.pop(rbx);
        c.ret();
        using MemoryStream stream = new();
        c.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }
}
