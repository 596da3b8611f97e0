using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using static QuantPS.Engine.Kernels.Generated.VectorRegisters;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The instructions that code for both widths shares, on registers by number: ZMM with EVEX encodings (AVX-512 F and BW), or YMM with VEX encodings (AVX2, FMA).</summary>
/// <param name="c">Receives the instructions.</param>
/// <param name="vectorBytes">64 or 32.</param>
internal sealed class VectorAssembler(Assembler c, int vectorBytes)
{
    private bool Wide => vectorBytes == 64;

    /// <summary>int32 lanes of a register.</summary>
    public int Lanes => vectorBytes / sizeof(int);

    /// <summary>A whole register's bytes in memory.</summary>
    public AssemblerMemoryOperand Memory(AssemblerMemoryOperand address) => Wide ? __zmmword_ptr[address] : __ymmword_ptr[address];

    public void vmovups(int to, AssemblerMemoryOperand from)
    {
        if (Wide)
            c.vmovups(Zmm(to), from);
        else
            c.vmovups(Ymm(to), from);
    }

    /// <summary>Moves integers; a name of its own with EVEX.</summary>
    public void vmovdqu(int to, AssemblerMemoryOperand from)
    {
        if (Wide)
            c.vmovdqu32(Zmm(to), from);
        else
            c.vmovdqu(Ymm(to), from);
    }

    public void vbroadcastss(int to, AssemblerMemoryOperand from)
    {
        if (Wide)
            c.vbroadcastss(Zmm(to), from);
        else
            c.vbroadcastss(Ymm(to), from);
    }

    public void vpbroadcastd(int to, AssemblerMemoryOperand from)
    {
        if (Wide)
            c.vpbroadcastd(Zmm(to), from);
        else
            c.vpbroadcastd(Ymm(to), from);
    }

    public void vcvtdq2ps(int to, int from)
    {
        if (Wide)
            c.vcvtdq2ps(Zmm(to), Zmm(from));
        else
            c.vcvtdq2ps(Ymm(to), Ymm(from));
    }

    public void vcvtps2dq(int to, int from)
    {
        if (Wide)
            c.vcvtps2dq(Zmm(to), Zmm(from));
        else
            c.vcvtps2dq(Ymm(to), Ymm(from));
    }

    public void vaddps(int to, int x, int y)
    {
        if (Wide)
            c.vaddps(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vaddps(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vaddps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vaddps(Zmm(to), Zmm(x), y);
        else
            c.vaddps(Ymm(to), Ymm(x), y);
    }

    public void vmulps(int to, int x, int y)
    {
        if (Wide)
            c.vmulps(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vmulps(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vmulps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vmulps(Zmm(to), Zmm(x), y);
        else
            c.vmulps(Ymm(to), Ymm(x), y);
    }

    public void vminps(int to, int x, int y)
    {
        if (Wide)
            c.vminps(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vminps(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vminps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vminps(Zmm(to), Zmm(x), y);
        else
            c.vminps(Ymm(to), Ymm(x), y);
    }

    public void vmaxps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vmaxps(Zmm(to), Zmm(x), y);
        else
            c.vmaxps(Ymm(to), Ymm(x), y);
    }

    /// <summary>Rounds to integers, ties to even; a name of its own with EVEX.</summary>
    public void vroundps(int to, int from)
    {
        const byte nearest = 0;
        if (Wide)
            c.vrndscaleps(Zmm(to), Zmm(from), nearest);
        else
            c.vroundps(Ymm(to), Ymm(from), nearest);
    }

    public void vfmadd213ps(int to, int x, int y)
    {
        if (Wide)
            c.vfmadd213ps(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vfmadd213ps(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vfmadd132ps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vfmadd132ps(Zmm(to), Zmm(x), y);
        else
            c.vfmadd132ps(Ymm(to), Ymm(x), y);
    }

    public void vfmadd231ps(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vfmadd231ps(Zmm(to), Zmm(x), y);
        else
            c.vfmadd231ps(Ymm(to), Ymm(x), y);
    }

    public void vpaddd(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vpaddd(Zmm(to), Zmm(x), y);
        else
            c.vpaddd(Ymm(to), Ymm(x), y);
    }

    public void vpminsd(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vpminsd(Zmm(to), Zmm(x), y);
        else
            c.vpminsd(Ymm(to), Ymm(x), y);
    }

    public void vpmaxsd(int to, int x, AssemblerMemoryOperand y)
    {
        if (Wide)
            c.vpmaxsd(Zmm(to), Zmm(x), y);
        else
            c.vpmaxsd(Ymm(to), Ymm(x), y);
    }

    public void vpaddsw(int to, int x, int y)
    {
        if (Wide)
            c.vpaddsw(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpaddsw(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpackssdw(int to, int x, int y)
    {
        if (Wide)
            c.vpackssdw(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpackssdw(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpacksswb(int to, int x, int y)
    {
        if (Wide)
            c.vpacksswb(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpacksswb(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpackuswb(int to, int x, int y)
    {
        if (Wide)
            c.vpackuswb(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpackuswb(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpmaxsb(int to, int x, int y)
    {
        if (Wide)
            c.vpmaxsb(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpmaxsb(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpmaxub(int to, int x, int y)
    {
        if (Wide)
            c.vpmaxub(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpmaxub(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpminsb(int to, int x, int y)
    {
        if (Wide)
            c.vpminsb(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpminsb(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpminub(int to, int x, int y)
    {
        if (Wide)
            c.vpminub(Zmm(to), Zmm(x), Zmm(y));
        else
            c.vpminub(Ymm(to), Ymm(x), Ymm(y));
    }

    public void vpermd(int to, int order, int from)
    {
        if (Wide)
            c.vpermd(Zmm(to), Zmm(order), Zmm(from));
        else
            c.vpermd(Ymm(to), Ymm(order), Ymm(from));
    }

    /// <summary>An operand of the same number in all lanes. With EVEX a single one is broadcast by the instruction itself; else memory has eight copies.</summary>
    public AssemblerMemoryOperand Replicated(AssemblerMemoryOperand address) => Wide ? __dword_bcst[address] : __ymmword_ptr[address];
}
