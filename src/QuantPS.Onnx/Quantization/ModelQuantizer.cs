using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Quantization;

/// <summary>Turns a calibrated float model into a quantized graph: PyTorch's convert.</summary>
/// <remarks>Source: torch/ao/nn/quantized/modules/utils.py _quantize_weight, _clamp_weights: the weight observer sees the folded float weight once; the
/// bias stays float. With the engine onnxruntime, parameters follow onnxruntime/python/tools/quantization instead.</remarks>
public static class ModelQuantizer
{
    /// <param name="calibration">The float model and what was observed.</param>
    /// <param name="compat">Reproduce the engine's own defects.</param>
    /// <exception cref="Engine.Errors.QuantException">NotANumber, AsymmetricWeightRefused, InvalidRequantizationScale and what the layers refuse, with the layer's name.</exception>
    public static QuantizedGraph Quantize(CalibrationData calibration, bool compat = false)
    {
        QuantizationPlan plan = calibration.Plan;
        QConfig config = calibration.QConfig;
        List<string> warnings = [];
        Dictionary<string, QParams> qparams = new(StringComparer.Ordinal);
        foreach (string value in plan.Observed)
        {
            if (plan.FixedOutput(value, config) is QParams known)
            {
                qparams[value] = known;
                continue;
            }
            Observer observer = calibration.Observers[value];
            if (!observer.HasObserved)
                warnings.Add($"The value '{value}' was never observed; it gets scale 1 and zero point 0, as in PyTorch.");
            qparams[value] = Named(value, () => ParametersOf(observer, config.Backend));
        }
        List<QuantizedNode> nodes = [];
        foreach (PlannedNode node in plan.Nodes)
            nodes.Add(new QuantizedNode(node, node.Operator is WeightOperator op ? MakeLayer(plan, config.For(node.Name), compat, node, op, qparams, warnings) : null));
        return new QuantizedGraph(calibration, qparams, nodes, warnings);
    }

    private static QuantizedWeightLayer MakeLayer(QuantizationPlan plan, QConfig config, bool compat, PlannedNode node, WeightOperator op, Dictionary<string, QParams> qparams, List<string> warnings)
    {
        NodeContext context = plan.ContextOf(node.Node);
        QParams input = qparams[plan.Root(node.Inputs.First())!], output = qparams[plan.Root(node.Output)!];
        float[]? bias = op.Bias(context);
        QuantizedTensor weight = QuantizeWeight(op.Weight(context), bias, input, config);
        LayerOptions options = new() { Name = node.Name, Relu = node.Range.IsRelu, Compat = compat, TorchVersion = config.Activation.TorchVersion };
        QuantizedWeightLayer layer = op.CreateLayer(context, weight, bias, input, output, config.Backend, options);
        if (layer.QuantizedBias is not null && layer.BiasHeadroom.Any(h => h < 1))
        {
            warnings.Add($"Layer '{node.Name}': {layer.BiasHeadroom.Count(h => h < 1)} of {layer.OutputChannels} biases do not fit int32 at their scale "
                + "(input scale x weight scale) and saturate. Use an engine that keeps the bias float (x86, fbgemm, onednn).");
        }
        return layer;
    }

    /// <summary>Observes a float weight once and quantizes it.</summary>
    /// <param name="weight">[O, ...]</param>
    /// <param name="bias">[O] or null; ONNX Runtime widens a weight's scale for it.</param>
    /// <param name="input">Parameters of the layer's input.</param>
    /// <param name="config">The weight observer and the engine.</param>
    public static QuantizedTensor QuantizeWeight(Tensor weight, float[]? bias, QParams input, QConfig config)
    {
        Observer observer = (config.Weight with { ChannelAxis = 0 }).Create();
        observer.Observe(weight);
        QParams parameters = ParametersOf(observer, config.Backend);
        if (config.Backend == EngineKind.OnnxRuntime)
        {
            if (bias is not null)
                parameters = OrtQParams.AdjustForInt32Bias(parameters, bias, input.Scales[0]);
            return Quantizer.Quantize(weight, parameters, onnxRule: true);
        }
        QuantizedTensor q = Quantizer.Quantize(weight, parameters);
        // A narrower range than the dtype's: values that round beyond it are pulled back.
        QuantRange range = observer.Range;
        if (q.DType == QDType.QInt8 && (range.Min > sbyte.MinValue || range.Max < sbyte.MaxValue))
        {
            foreach (ref sbyte v in q.SBytes)
                v = (sbyte)Math.Clamp((int)v, range.Min, range.Max);
        }
        return q;
    }

    /// <summary>Tells which value an observer's error is about.</summary>
    private static QParams Named(string value, Func<QParams> calculate)
    {
        try
        {
            return calculate();
        }
        catch (QuantException e)
        {
            throw new QuantException(e.ErrorId, $"The value '{value}': {e.Message}", e.Target ?? value, e);
        }
    }

    private static QParams ParametersOf(Observer observer, EngineKind backend)
    {
        if (backend != EngineKind.OnnxRuntime || !observer.HasObserved || !observer.HasRange)
            return observer.CalculateQParams();
        (float[] min, float[] max) = observer.SelectRange();
        return OrtQParams.Calculate(min, max, observer.Spec.DType, observer.Spec.Scheme, observer.Spec.ReduceRange, observer.Spec.ChannelAxis);
    }
}
