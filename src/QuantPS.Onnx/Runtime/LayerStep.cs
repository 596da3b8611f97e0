using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime;

/// <summary>A layer of integers: 8-bit tensors in, one out, by one of this module's kernels.</summary>
internal abstract class LayerStep : PlanStep, IMovingStep
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
        Joint = op is Concat ? Concat.LayerOf(context) : null;
        Meaning = context.Output;
        Moves = op is DataMovement { OnlyMoves: true } && operands.Count == 1 && operands[0].Constant is null && context.Inputs[0].IsSameAs(context.Output) ? [step] : [];
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

    /// <summary>What joins the operands, for a Concat; null for anything else.</summary>
    public QuantizedConcat? Joint { get; }

    /// <inheritdoc/>
    public QParams Meaning { get; }

    /// <inheritdoc/>
    public IReadOnlyList<Int8Step> Moves { get; }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    /// <summary>Name of an operand; null for a constant.</summary>
    public string? OperandName(int operand) => places[operand] < 0 ? null : Inputs[places[operand]];

    /// <inheritdoc/>
    public abstract QuantizedTensor Read(int operand, GraphValue value);

    /// <inheritdoc/>
    public abstract GraphValue Made(QuantizedTensor result);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => Run(inputs, outputs, 0);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent)
    {
        uint over = 0;
        for (int i = 0; i < places.Length; i++)
        {
            if (places[i] >= 0 && (spent >> places[i] & 1) != 0)
                over |= 1u << i;
        }
        outputs[0] = Made(step(Operands(inputs), over));
    }

    /// <summary>All operands, constants among them.</summary>
    /// <param name="inputs">In the order of <see cref="Inputs"/>.</param>
    public QuantizedTensor[] Operands(ReadOnlySpan<GraphValue> inputs)
    {
        var integers = new QuantizedTensor[places.Length];
        for (int i = 0; i < integers.Length; i++)
            integers[i] = constants[i] ?? Read(i, inputs[places[i]]);
        return integers;
    }
}
