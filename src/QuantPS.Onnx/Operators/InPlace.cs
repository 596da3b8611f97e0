using QuantPS.Engine.Layers;

namespace QuantPS.Onnx.Operators;

/// <summary>Which operands of a pair may be written over.</summary>
internal static class InPlace
{
    /// <param name="spent">As <see cref="Int8Step"/> has it.</param>
    public static SpentOperand Of(uint spent) => (SpentOperand)(spent & 3);
}
