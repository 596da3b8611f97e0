using Iced.Intel;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Vector registers by number.</summary>
internal static class VectorRegisters
{
    public const int Count = 32;

    public static AssemblerRegisterZMM Zmm(int number) => new(Register.ZMM0 + number);

    public static AssemblerRegisterYMM Ymm(int number) => new(Register.YMM0 + number);

    public static AssemblerRegisterXMM Xmm(int number) => new(Register.XMM0 + number);
}
