using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Quantization;

/// <summary>The integers that a file has for a node's weights and bias, in the file's layout, by the input's index; a bias that was an Add
/// has the index 2.</summary>
internal static class NodeWeights
{
    /// <summary>Input of Conv, Gemm and the like that is the bias.</summary>
    public const int BiasIndex = 2;

    /// <param name="cache">What is known already.</param>
    /// <param name="context">The node.</param>
    /// <param name="op">Its operator.</param>
    /// <param name="layer">The node as the engine runs it, whose integers are taken; null without one.</param>
    /// <param name="input">Parameters of the first activation; null without one, and then there is no bias.</param>
    /// <param name="rules">How parameters follow from ranges.</param>
    /// <param name="config">The node's own configuration.</param>
    /// <param name="options">What the user wants else.</param>
    /// <param name="notes">Gets what was changed so that the bias fits.</param>
    public static Dictionary<int, QuantizedTensor> Create(ConversionCache cache, NodeContext context, QuantOperator op, QuantizedWeightLayer? layer, QParams? input,
        ParameterRules rules, QConfig config, QuantizeOptions options, List<string> notes)
    {
        Dictionary<int, QuantizedTensor> made = [];
        float[]? bias = op is WeightOperator weighted ? weighted.Bias(context)
            : op.WeightInputs(context).Any(w => w.IsBias) ? context.ConstantInput(BiasIndex)?.ToFloats() : null;
        QuantizedTensor? last = null;
        bool fits = true;
        foreach (WeightInput place in op.WeightInputs(context).Where(w => !w.IsBias))
        {
            QuantizedTensor weight = layer is null
                ? Quantize(cache, context, place, op, rules, config, options)
                : ((WeightOperator)op).WeightIsTransposed(context.Node) ? MatrixWeight.Transposed(layer.Weight) : layer.Weight;
            if (bias is not null && options is { AdjustWeightScale: true, QuantizeBias: true })
                weight = WidenedForBias(weight, AxisOf(context, place, options), bias, input!.Scales[0], context.Name, notes);
            made[place.Index] = last = weight;
            fits &= !weight.QParams.IsPerChannel || weight.Axis == place.Axis;
        }
        // A bias has the scales of the outputs' channels; where the weight has those of others, it stays float.
        if (bias is not null && last is not null && options.QuantizeBias && fits)
            made[BiasIndex] = QuantizeBias(bias, op is WeightOperator ? [bias.Length] : context.ConstantInput(BiasIndex)!.Shape(), last.QParams, input!.Scales[0]);
        return made;
    }

    /// <summary>Dimension of a weight's channels: the operator's own, or what the user wants; null where there is one scale in any case.</summary>
    /// <exception cref="QuantException">InvalidArgument: the weight has no such dimension.</exception>
    public static int? AxisOf(NodeContext context, WeightInput place, QuantizeOptions options)
    {
        if (place.Axis is null || !options.ChannelAxes.TryGetValue(context.Node.OpType, out int wanted))
            return place.Axis;
        int rank = context.ConstantInput(place.Index)!.Dims.Count;
        return wanted >= -rank && wanted < rank ? (wanted + rank) % rank : throw new QuantException(ErrorIds.InvalidArgument,
            $"The weight of '{context.Name}' ({context.Node.OpType}) has {rank} dimensions, so its channels cannot be along dimension {wanted}.", wanted);
    }

    /// <summary>Whether a node's weights have their channels where its operator has them, as a bias in integers wants it.</summary>
    public static bool HasOwnAxes(NodeContext context, QuantOperator op, QuantizeOptions options) =>
        op.WeightInputs(context).Where(w => !w.IsBias && w.Axis is not null).All(w => AxisOf(context, w, options) == w.Axis
            && (options.Tensors.GetValueOrDefault(GraphIndex.Input(context.Node, w.Index))?.Axis is not int axis
                || axis == w.Axis || axis + context.ConstantInput(w.Index)!.Dims.Count == w.Axis));

    /// <summary>A weight in the file's layout.</summary>
    public static QuantizedTensor Quantize(ConversionCache cache, NodeContext context, WeightInput place, QuantOperator op, ParameterRules rules,
        QConfig config, QuantizeOptions options)
    {
        int? axis = AxisOf(context, place, options);
        Engine.Observers.ObserverSpec spec = config.Weight with { ChannelAxis = axis ?? 0 };
        bool one = axis is null || (op is WeightOperator { PerTensorWeight: true } && config.Backend != EngineKind.OnnxRuntime);
        if (one && spec.Scheme.IsPerChannel())
        {
            spec = spec with
            {
                Scheme = spec.Scheme.IsSymmetric() ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine,
                Kind = Engine.Observers.ObserverKind.MinMax,
            };
        }
        if (options.Tensors.GetValueOrDefault(GraphIndex.Input(context.Node, place.Index)) is not TensorOverride forced)
            return cache.OfWeight(context.Node, place.Index, spec, rules, () => context.ConstantInput(place.Index)!.ToTensor(), null, spec.Range);
        Tensor real = context.ConstantInput(place.Index)!.ToTensor();
        return ModelQuantizer.Quantize(real, rules.OfConstant(real, spec, forced), config.Backend, null);
    }

    /// <summary>int32 at input scale x weight scale, rounded half to even in double, as ONNX Runtime's own tool does.</summary>
    private static QuantizedTensor QuantizeBias(float[] bias, int[] shape, QParams weight, float inputScale)
    {
        float[] scales = Array.ConvertAll(weight.Scales.ToArray(), s => inputScale * s);
        // A bias has a value per output, a normalization's per element of the factor, whose shape it has.
        int[] integers = [.. bias.Select((b, c) => (int)Math.Clamp(
            Math.Round(b / (double)scales[scales.Length > 1 ? c : 0], MidpointRounding.ToEven), int.MinValue, int.MaxValue))];
        return QuantizedTensor.FromIntegers(integers, shape,
            new QParams(scales, new int[scales.Length], QDType.QInt32, weight.IsPerChannel ? QScheme.PerChannelAffine : QScheme.PerTensorAffine, 0));
    }

    /// <summary>Where a bias does not fit int32, makes the weight's scale larger and its integers smaller, as ONNX Runtime's own tool does;
    /// for one
    /// scale as for one per channel.</summary>
    /// <remarks>Leaving the bias float would not do: ONNX Runtime quantizes it itself when it loads the model, and lets it wrap. Little is
    /// lost: beside
    /// such a bias the weights amount to less than a step of the output.</remarks>
    private static QuantizedTensor WidenedForBias(QuantizedTensor weight, int? axis, float[] bias, float inputScale, string name,
        List<string> notes)
    {
        QParams p = weight.QParams;
        float[] scales = p.Scales.ToArray();
        bool channels = p.IsPerChannel && axis == p.Axis && bias.Length == scales.Length;
        if (p.IsPerChannel && !channels)
            return weight;
        for (int k = 0; k < scales.Length; k++)
            scales[k] = OrtQParams.WidenForInt32Bias(scales[k], channels ? bias.AsSpan(k, 1) : bias, inputScale);
        if (scales.AsSpan().SequenceEqual(p.Scales))
            return weight;
        (int outer, int count, int inner) = p.IsPerChannel ? TensorShape.Split(weight.Dims, p.Axis) : (1, 1, weight.Length);
        (int min, int max) = p.DType.Range();
        var integers = new int[weight.Length];
        for (int i = 0; i < integers.Length; i++)
        {
            int k = i / inner % count;
            integers[i] = Math.Clamp((int)Math.Round((weight.GetInteger(i) - p.ZeroPoints[k]) * (double)p.Scales[k] / scales[k],
                MidpointRounding.ToEven) + p.ZeroPoints[k], min, max);
        }
        for (int k = 0; k < scales.Length; k++)
        {
            if (scales[k] != p.Scales[k])
            {
                notes.Add($"Layer '{name}': the bias{(channels ? $" of channel {k}" : "")} does not fit int32 at its scale, so the file "
                    + $"has the weight at scale {scales[k]:G9} rather than {p.Scales[k]:G9}.");
            }
        }
        return QuantizedTensor.FromIntegers(integers, weight.Shape, new QParams(scales, p.ZeroPoints.ToArray(), p.DType, p.Scheme, p.Axis));
    }
}
