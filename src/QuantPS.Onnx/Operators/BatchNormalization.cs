using QuantPS.Engine.Layers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators;

/// <summary>x * factor + summand per channel, where neither the layer before nor the one behind could take it in (DenseNet, networks with normalization first):
/// a table per channel. A Relu behind it is part of it, as in PyTorch's BNReLU2d. The parameters stay float32.</summary>
/// <remarks>Source: onnxruntime/core/providers/cpu/nn/batch_norm.h; factor = scale / sqrt(var + epsilon), summand = B - mean * factor, in float32. A file has no
/// such operator on integers.</remarks>
public sealed class BatchNormalization : QuantOperator
{
    public override string OpType => "BatchNormalization";

    public override bool AbsorbsActivation => true;

    public override string? WhyFloat(NodeContext context)
    {
        NodeProto node = context.Node;
        if (node.GetInt("training_mode", 0) != 0 || node.Output.Skip(1).Any(o => o.Length > 0))
            return "it is in training mode";
        if (node.GetInt("spatial", 1) == 0)
            return "it normalizes each pixel on its own";
        TensorProto?[] parameters = [.. Enumerable.Range(1, 4).Select(context.ConstantInput)];
        return parameters.Contains(null) ? "its parameters are computed, not constants"
            : parameters.Any(p => p!.Type() != DataType.Float) ? "its parameters are not all float32"
            : parameters.Any(p => p!.Count() != parameters[0]!.Count()) ? "its parameters do not have one value per channel each"
            : context.Types[node.Input[0]] is not { Rank: > 1 } ? "its input has no known channels"
            : null;
    }

    public override Int8Step? CreateStep(StepContext context)
    {
        float[][] p = [.. Enumerable.Range(1, 4).Select(i => context.Context.ConstantInput(i)!.ToFloats())];
        float epsilon = context.Context.Node.GetFloat("epsilon", 1e-5f);
        float[] factors = [.. p[0].Select((scale, c) => 1f / MathF.Sqrt(p[3][c] + epsilon) * scale)];
        float[] summands = [.. p[1].Select((b, c) => b - p[2][c] * factors[c])];
        (float low, float high) = (context.Range.Low, context.Range.High);
        QuantizedChannelTable tables = new(context.Inputs[0], context.Output, factors.Length,
            (c, x) => MathF.Min(MathF.Max(x * factors[c] + summands[c], low), high), context.OnnxRule);
        return (inputs, spent) => tables.Run(inputs[0], inPlace: (spent & 1) != 0);
    }
}
