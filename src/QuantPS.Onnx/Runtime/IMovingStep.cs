using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime;

/// <summary>A step that may do nothing but move the elements of its one input.</summary>
internal interface IMovingStep
{
    /// <summary>What makes each of the outputs; empty where the step does more than that, or has constants among its operands.</summary>
    IReadOnlyList<Int8Step> Moves { get; }

    /// <summary>What the results mean, and the input of a step with <see cref="Moves"/>.</summary>
    QParams Meaning { get; }

    /// <summary>A value as the operand that it is here.</summary>
    QuantizedTensor Read(int operand, GraphValue value);

    /// <summary>A result as a value of the plan.</summary>
    GraphValue Made(QuantizedTensor result);
}
