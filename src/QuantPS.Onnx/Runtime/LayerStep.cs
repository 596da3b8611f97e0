using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime;

/// <summary>A layer of integers: 8-bit tensors in, one out, by one of this module's kernels.</summary>
internal abstract class LayerStep : PlanStep
{
    private readonly Int8Step step;
    private readonly int[] places;
    private readonly QuantizedTensor?[] constants;

    /// <param name="step">What it does.</param>
    /// <param name="layer">The layer with weights; null for other operators.</param>
    /// <param name="context">What the step was made from.</param>
    /// <param name="op">The operator.</param>
    /// <param name="operands">Name of each operand, and its integers if it is a constant.</param>
    /// <param name="output">Name of the result.</param>
    protected LayerStep(Int8Step step, QuantizedWeightLayer? layer, StepContext context, QuantOperator op, IReadOnlyList<(string Name, QuantizedTensor? Constant)> operands, string output)
    {
        this.step = step;
        Layer = layer;
        LimitsItself = context.Range.IsDoneByLayer(context.Output, context.OnnxRule);
        Sum = op is Add && LimitsItself ? Add.LayerOf(context) : null;
        Inputs = [.. operands.Where(o => o.Constant is null).Select(o => o.Name).Distinct()];
        Outputs = [output];
        constants = [.. operands.Select(o => o.Constant)];
        places = [.. operands.Select(o => o.Constant is null ? Array.IndexOf([.. Inputs], o.Name) : -1)];
    }

    /// <summary>The layer, for operators with weights.</summary>
    public QuantizedWeightLayer? Layer { get; }

    /// <summary>Nothing is left to do behind the layer: a fused activation is part of its arithmetic.</summary>
    public bool LimitsItself { get; }

    /// <summary>The sum that it is; null for anything else.</summary>
    public QuantizedAdd? Sum { get; }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    /// <summary>Name of an operand; null for a constant.</summary>
    public string? OperandName(int operand) => places[operand] < 0 ? null : Inputs[places[operand]];

    /// <summary>A value as the operand that it is here.</summary>
    public abstract QuantizedTensor Read(int operand, GraphValue value);

    /// <summary>A result as a value of the plan.</summary>
    public abstract GraphValue Made(QuantizedTensor result);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => Run(inputs, outputs, 0);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent)
    {
        var integers = new QuantizedTensor[places.Length];
        uint over = 0;
        for (int i = 0; i < integers.Length; i++)
        {
            integers[i] = constants[i] ?? Read(i, inputs[places[i]]);
            if (places[i] >= 0 && (spent >> places[i] & 1) != 0)
                over |= 1u << i;
        }
        outputs[0] = Made(step(integers, over));
    }
}
