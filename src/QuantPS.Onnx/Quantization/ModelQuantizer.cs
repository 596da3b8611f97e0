using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Quantization;

/// <summary>Turns a calibrated float model into a quantized graph: PyTorch's convert.</summary>
/// <remarks>Source: torch/ao/nn/quantized/modules/utils.py _quantize_weight, _clamp_weights: the weight observer sees the folded float
/// weight once; the
/// bias stays float. With the engine onnxruntime, parameters follow onnxruntime/python/tools/quantization instead.</remarks>
public static class ModelQuantizer
{
    /// <param name="calibration">The float model and what was observed.</param>
    /// <param name="compat">Reproduce the engine's own defects.</param>
    /// <param name="options">What is decided after calibration; by default what the calibration's configuration says.</param>
    /// <exception cref="Engine.Errors.QuantException">NotANumber, AsymmetricWeightRefused, InvalidRequantizationScale and what the layers
    /// refuse, with the layer's
    /// name. LayerNotFound, InvalidArgument: options that do not fit the model.</exception>
    public static QuantizedGraph Quantize(CalibrationData calibration, bool compat = false, QuantizeOptions? options = null)
    {
        options ??= new();
        QConfig config = options.Apply(calibration.QConfig);
        QuantizationPlan plan = new(calibration.Plan, config, options);
        CalibrationData equalized = ChannelEqualization.Apply(calibration, config, options, plan);
        equalized = ResidualEqualization.Apply(equalized, config, options, ReferenceEquals(equalized, calibration) ? plan : new QuantizationPlan(equalized.Plan, config, options));
        bool isEqualized = !ReferenceEquals(equalized, calibration);
        if (isEqualized)
            (calibration, plan) = (equalized, new QuantizationPlan(equalized.Plan, config, options));
        options = options with { FitWeightScales = options.FitWeightScales ?? (isEqualized || plan.Nodes.Any(n => n.Chain.Count > 0)) };
        TensorOverrides.Check(options.Tensors, plan, config);
        options = TensorOverrides.WithGiven(options, calibration.Given, plan);
        ParameterRules rules = new(config.Backend, options.MinimumRealRange);
        List<string> warnings = [], notes = [];
        Dictionary<string, QParams> qparams = new(StringComparer.Ordinal);
        Dictionary<string, QuantizedTensor> constants = new(StringComparer.Ordinal);
        foreach (string value in plan.Observed)
            qparams[value] = Named(value, () => ParametersOf(value, calibration, plan, config, options, rules, warnings));
        foreach (string value in plan.Constants)
        {
            Tensor real = plan.Model.Graph.Constant(value)!.ToTensor();
            ObserverSpec like = config.Activation, spec = new() { DType = like.DType, Scheme = like.Scheme, ReduceRange = like.ReduceRange };
            qparams[value] = Named(value, () => rules.OfConstant(real, spec, options.Tensors.GetValueOrDefault(value)));
            constants[value] = Quantizer.Quantize(real, qparams[value], onnxRule: config.Backend == EngineKind.OnnxRuntime);
        }
        List<QuantizedNode> nodes = [];
        foreach (PlannedNode node in plan.Nodes)
            nodes.Add(MakeNode(calibration.Cache, plan, config.For(node.Name), compat, node, options, qparams, warnings, notes));
        PlannedNode[] unobserved = [.. plan.Nodes.Where(n => n.IsUnobserved && OperatorRegistry.Find(n.Node).Any(o => o is WeightOperator))];
        if (unobserved.Length > 0)
            warnings.Add($"{unobserved.Length} layers stay float, '{unobserved[0].Name}' ({unobserved[0].Node.OpType}) among them: {unobserved[0].Reason}.");
        return new QuantizedGraph(calibration, plan, config, options, qparams, constants, nodes, warnings, notes);
    }

    /// <summary>Among a node's weights: the one with the output channels first, whatever the file's layout.</summary>
    private const int LayerForm = -1;

    private static QParams ParametersOf(string value, CalibrationData calibration, QuantizationPlan plan, QConfig config,
        QuantizeOptions options, ParameterRules rules, List<string> warnings)
    {
        TensorOverride? forced = options.Tensors.GetValueOrDefault(value);
        ObserverSpec spec = ParameterRules.Overridden(plan.ConfigOf(value, config).Activation, forced, 0);
        if (rules.Known(spec, forced) is QParams given)
            return given;
        if (forced is null && plan.FixedOutput(value, config) is QParams known)
            return known;
        string statistics = plan.StatisticsOf(value)!;
        // A range that is known beforehand was not observed.
        if (!calibration.Observers.TryGetValue(statistics, out Observer? observer))
            return rules.Calculate([0f], [1f], spec);
        if (!observer.HasObserved)
            warnings.Add($"The value '{value}' was never observed; it gets scale 1 and zero point 0, as in PyTorch.");
        // What is bound to its calibration (fixed parameters, a custom range) stays as it was unless the user names something else.
        return calibration.Cache.OfValue(observer, observer.Spec with
        {
            DType = spec.DType,
            Scheme = spec.Scheme,
            ReduceRange = observer.Spec.ReduceRange && SparesBit(value, plan, config, options),
            QuantMin = spec.QuantMin,
            QuantMax = spec.QuantMax,
        }, rules);
    }

    private static QuantizedNode MakeNode(ConversionCache cache, QuantizationPlan plan, QConfig config, bool compat, PlannedNode node,
        QuantizeOptions options, Dictionary<string, QParams> qparams, List<string> warnings, List<string> notes)
    {
        NodeContext context = plan.ContextOf(node);
        if (node.Operator is not QuantOperator op || op.WeightInputs(context).Count == 0)
            return new QuantizedNode(node, null);
        // Only a bias, which goes with an activation, has a scale that depends on one.
        QParams? input = node.Inputs.FirstOrDefault() is string first
            ? TensorOverrides.ForConsumer(qparams[plan.Root(first)!], node, first, options, config, plan) : null;
        ParameterRules rules = ParameterRules.Of(config, options, limitsPairs: config.Activation.DType.IsEightBit() && MultipliesPairs(context, op));
        QuantizedWeightLayer? layer = node.Operator is WeightOperator weighted && !node.HasFloatOutput
            ? MakeLayer(cache, config, compat, context, node, weighted, input!, qparams[plan.Root(node.Output)!], options, rules, warnings) : null;
        return new QuantizedNode(node, layer) { Weights = NodeWeights.Create(cache, context, op, layer, input, rules, config, options, notes) };
    }

    /// <summary>Whether a value has to do without a bit, where the configuration says so, for products that fit 16 bits (<see cref="WeightPairs"/>). PyTorch
    /// takes it from every value; here those have it that nothing but tables take, and with fitted weights also all others but those that meet weights
    /// which are not fitted.</summary>
    private static bool SparesBit(string value, QuantizationPlan plan, QConfig config, QuantizeOptions options)
    {
        PlannedNode[] takers = [.. plan.Takers(value)];
        if (options.FitWeightScales != true)
            return takers.Length == 0 || takers.Any(n => n.Chain.Count == 0);
        return takers.Any(n => MultipliesPairs(plan.ContextOf(n), n.Operator!) && !IsFitted(n, config.For(n.Name)));

        bool IsFitted(PlannedNode node, QConfig own) =>
            own is { Activation.ReduceRange: true, Weight: { DType: QDType.QInt8, Scheme: QScheme.PerChannelSymmetric } } && node.Operator is { } op
            && op is not WeightOperator { PerTensorWeight: true } && op.WeightInputs(plan.ContextOf(node)) is [WeightInput weight, ..]
            && NodeWeights.AxisOf(plan.ContextOf(node), weight, options) == weight.Axis && !options.Tensors.ContainsKey(node.Node.Input[weight.Index]);
    }

    /// <summary>Sums of products with signed weights; a depthwise convolution has a kernel of its own in every runtime, without sums of pairs in 16 bits.
    /// Products of two activations are of unsigned values, for which there is no such instruction.</summary>
    private static bool MultipliesPairs(NodeContext context, QuantOperator op) => op is WeightOperator
        && !(op is Conv && context.ConstantInput(1)!.Shape() is [int outputs, 1, ..] && context.Node.GetInt("group", 1) == outputs);

    private static QuantizedWeightLayer? MakeLayer(ConversionCache cache, QConfig config, bool compat, NodeContext context, PlannedNode node,
        WeightOperator op, QParams input, QParams output, QuantizeOptions options, ParameterRules rules, List<string> warnings)
    {
        // The engine computes with 8 bits only, and with signed weights.
        if (!input.DType.IsEightBit() || !output.DType.IsEightBit())
            return null;
        int channels = op is ConvTranspose ? 1 : 0;
        string name = GraphIndex.Input(node.Node, 1);
        float[]? bias = op.Bias(context);
        QuantizedTensor weight;
        int? axis = NodeWeights.AxisOf(context, op.WeightInputs(context)[0], options);
        if (options.Tensors.ContainsKey(name) || op.PerTensorWeight || config.Weight.DType != QDType.QInt8 || axis != op.WeightInputs(context)[0].Axis)
        {
            weight = NodeWeights.Quantize(cache, context, op.WeightInputs(context)[0], op, rules, config, options);
            if (op.WeightIsTransposed(node.Node) || weight.DType != QDType.QInt8 || (weight.QParams.IsPerChannel && weight.Axis != channels))
                return null;
        }
        else
        {
            ObserverSpec spec = config.Weight with { ChannelAxis = 0 };
            weight = cache.OfWeight(node.Node, LayerForm, spec, rules, () => op.Weight(context),
                parameters => WidenForBias(parameters, bias, input, config, options), spec.Range);
        }
        LayerOptions layerOptions = new()
        {
            Name = node.Name,
            Relu = node.Range.IsRelu,
            Compat = compat,
            TorchVersion = config.Activation.TorchVersion,
        };
        QuantizedWeightLayer? layer = op.CreateLayer(context, weight, bias, input, output, config.Backend, layerOptions);
        if (layer?.QuantizedBias is not null && layer.BiasHeadroom.Any(h => h < 1))
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
    /// <param name="options">Whether a weight's scale is widened for its bias, and the smallest range.</param>
    public static QuantizedTensor QuantizeWeight(Tensor weight, float[]? bias, QParams input, QConfig config, QuantizeOptions? options = null)
    {
        options ??= new();
        ObserverSpec spec = config.Weight with { ChannelAxis = 0 };
        Observer observer = spec.Create();
        observer.Observe(weight);
        QParams parameters = new ParameterRules(config.Backend, options.MinimumRealRange).Calculate(observer, spec);
        return Quantize(weight, WidenForBias(parameters, bias, input, config, options), config.Backend, spec.Range);
    }

    private static QParams WidenForBias(QParams weight, float[]? bias, QParams input, QConfig config, QuantizeOptions options) =>
        config.Backend == EngineKind.OnnxRuntime && bias is not null && options is { AdjustWeightScale: true, QuantizeBias: true }
            ? OrtQParams.AdjustForInt32Bias(weight, bias, input.Scales[0]) : weight;

    /// <summary>Quantizes a weight by the engine's rule.</summary>
    /// <param name="weight">float32, any layout.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="backend">The engine.</param>
    /// <param name="range">The integers that PyTorch's engines are left with; null for all of the type.</param>
    internal static QuantizedTensor Quantize(Tensor weight, QParams parameters, EngineKind backend, QuantRange? range)
    {
        if (backend == EngineKind.OnnxRuntime)
            return Quantizer.Quantize(weight, parameters, onnxRule: true);
        QuantizedTensor q = Quantizer.Quantize(weight, parameters);
        // A narrower range than the dtype's: values that round beyond it are pulled back.
        if (q.DType == QDType.QInt8 && range is QuantRange r && (r.Min > sbyte.MinValue || r.Max < sbyte.MaxValue))
        {
            foreach (ref sbyte v in q.SBytes)
                v = (sbyte)Math.Clamp((int)v, r.Min, r.Max);
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
}
