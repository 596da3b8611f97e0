using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Both calling conventions of x64. Between <see cref="Open"/> and <see cref="Close"/> the argument is in <see cref="Argument"/>, and rax,
/// rcx, rdx, rsi, rdi, r8 to r11, all vector and mask registers are free.</summary>
/// <param name="c">Receives the instructions.</param>
/// <param name="windows">Windows' convention; else System V's.</param>
/// <remarks>System V keeps none of these for the caller; Windows keeps rdi, rsi and xmm6 to xmm15, so they are saved there.</remarks>
internal sealed class FunctionFrame(Assembler c, bool windows)
{
    /// <summary>Where generated code finds its argument, whatever the system.</summary>
    public static readonly AssemblerRegister64 Argument = rdi;

    private const int SavedVectors = 10, FrameBytes = SavedVectors * 16 + 24;

    public void Open()
    {
        if (!windows)
            return;
        // The return address has moved the stack by 8: 184 more and it is on 16 bytes again.
        c.sub(rsp, FrameBytes);
        for (int i = 0; i < SavedVectors; i++)
            c.vmovups(__xmmword_ptr[rsp + i * 16], VectorRegisters.Xmm(6 + i));
        c.mov(__qword_ptr[rsp + SavedVectors * 16], rsi);
        c.mov(__qword_ptr[rsp + SavedVectors * 16 + 8], rdi);
        c.mov(rdi, rcx);
    }

    public void Close()
    {
        c.vzeroupper();
        if (windows)
        {
            for (int i = 0; i < SavedVectors; i++)
                c.vmovups(VectorRegisters.Xmm(6 + i), __xmmword_ptr[rsp + i * 16]);
            c.mov(rsi, __qword_ptr[rsp + SavedVectors * 16]);
            c.mov(rdi, __qword_ptr[rsp + SavedVectors * 16 + 8]);
            c.add(rsp, FrameBytes);
        }
        c.ret();
    }
}
