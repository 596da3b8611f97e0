using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Onnx.Quantization;

/// <summary>What can be decided after calibration, without data: the options of ONNX Runtime's quantize_static. Names of nodes and of
/// operator types are
/// patterns (<see cref="LayerPattern"/>). In brackets quantize_static's name.</summary>
public sealed record QuantizeOptions
{
    /// <summary>Operator types to quantize; all that can be when empty (op_types_to_quantize).</summary>
    public ValueList<string> OpTypes { get; init; } = [];

    /// <summary>Operator types that stay float.</summary>
    public ValueList<string> ExcludedOpTypes { get; init; } = [];

    /// <summary>Nodes to quantize; all that can be when empty (nodes_to_quantize).</summary>
    public ValueList<string> Nodes { get; init; } = [];

    /// <summary>Nodes that stay float (nodes_to_exclude).</summary>
    public ValueList<string> ExcludedNodes { get; init; } = [];

    /// <summary>Operator types whose outputs stay float (OpTypesToExcludeOutputQuantization).</summary>
    public ValueList<string> FloatOutputs { get; init; } = [];

    /// <summary>Only products with a constant matrix, none of two activations (MatMulConstBOnly).</summary>
    public bool ConstantMatMulOnly { get; init; }

    /// <summary>Weights per channel or per tensor (per_channel); null as the configuration says.</summary>
    public bool? PerChannel { get; init; }

    /// <summary>By operator type, the dimension of the channels of its weights in the file's layout (QDQOpTypePerChannelSupportToAxis); negative from
    /// the end. The operator's own for all others.</summary>
    public IReadOnlyDictionary<string, int> ChannelAxes { get; init; } = new Dictionary<string, int>();

    /// <summary>Weights of one bit less (reduce_range).</summary>
    public bool? ReduceRange { get; init; }

    /// <summary>Type of the activations (activation_type).</summary>
    public QDType? ActivationType { get; init; }

    /// <summary>Type of the weights (weight_type).</summary>
    public QDType? WeightType { get; init; }

    /// <summary>Activations symmetric around 0 (ActivationSymmetric).</summary>
    public bool? SymmetricActivations { get; init; }

    /// <summary>Weights symmetric around 0 (WeightSymmetric); by default signed types are when the type is named, others are not.</summary>
    public bool? SymmetricWeights { get; init; }

    /// <summary>Smallest distance between the ends of a range (MinimumRealRange).</summary>
    public float? MinimumRealRange { get; init; }

    /// <summary>Tensors with parameters of their own (TensorQuantOverrides).</summary>
    public IReadOnlyDictionary<string, TensorOverride> Tensors { get; init; } = new Dictionary<string, TensorOverride>();

    /// <summary>A QuantizeLinear/DequantizeLinear pair for every consumer (DedicatedQDQPair).</summary>
    public bool DedicatedPairs { get; init; }

    /// <summary>Relu and Clip stay in the file also where the integers' range says the same (QDQKeepRemovableActivations).</summary>
    public bool KeepActivations { get; init; }

    /// <summary>Biases as int32 (QuantizeBias).</summary>
    public bool QuantizeBias { get; init; } = true;

    /// <summary>Weights as float, behind a QuantizeLinear/DequantizeLinear pair (AddQDQPairToWeight).</summary>
    public bool PairedWeights { get; init; }

    /// <summary>The scale of a weight grows where its bias would not fit int32 (QDQDisableWeightAdjustForInt32Bias turns it off).</summary>
    public bool AdjustWeightScale { get; init; } = true;

    /// <summary>QuantizeLinear and DequantizeLinear of the domain com.microsoft (UseQDQContribOps).</summary>
    public bool ContribOperators { get; init; }

    /// <summary>Bodies of If, Loop and Scan too (EnableSubgraph); dynamic quantization only.</summary>
    public bool Subgraphs { get; init; }

    /// <summary>Element-wise nodes one behind the other in one go, with nothing rounded between (<see cref="Operators.ElementwiseChain"/>); null where the
    /// engine is not ONNX Runtime's tool, which quantizes every value.</summary>
    public bool? FuseElementwise { get; init; }

    /// <summary>Channels of a value brought to like ranges (<see cref="ChannelEqualization"/>, <see cref="ResidualEqualization"/>), where element-wise nodes are fused; null
    /// for models that have such nodes, and for others if a value's channels have ranges far apart.</summary>
    public bool? EqualizeChannels { get; init; }

    /// <summary>Scales of weights per channel chosen for the smallest squared error instead of by the extremes (<see cref="WeightScales"/>); null where
    /// element-wise nodes are fused or channels are equalized.</summary>
    public bool? FitWeightScales { get; init; }

    internal bool Equalizes(QConfig config) => (EqualizeChannels ?? true) && FusesChains(config);

    internal bool FusesChains(QConfig? config) => FuseElementwise ?? config?.Backend != EngineKind.OnnxRuntime;

    /// <summary>The configuration with these options.</summary>
    internal QConfig Apply(QConfig config)
    {
        return config with
        {
            Activation = Activation(config.Activation),
            Weight = Weight(config.Weight),
            Overrides = [.. config.Overrides.Select(o => o with { Activation = Activation(o.Activation), Weight = Weight(o.Weight) })],
        };

        ObserverSpec Activation(ObserverSpec spec)
        {
            QDType dtype = ActivationType ?? spec.DType;
            bool ownRange = dtype == spec.DType;
            return spec with
            {
                DType = dtype,
                QuantMin = ownRange ? spec.QuantMin : null,
                QuantMax = ownRange ? spec.QuantMax : null,
                Scheme = SymmetricActivations is bool symmetric ? Scheme(symmetric, spec.Scheme.IsPerChannel()) : spec.Scheme,
            };
        }

        ObserverSpec Weight(ObserverSpec spec)
        {
            QDType dtype = WeightType ?? spec.DType;
            bool ownRange = dtype == spec.DType, channels = PerChannel ?? spec.Scheme.IsPerChannel();
            bool symmetric = SymmetricWeights ?? (WeightType is null ? spec.Scheme.IsSymmetric() : dtype is QDType.QInt8 or QDType.QInt16 or QDType.QInt4);
            return spec with
            {
                DType = dtype,
                QuantMin = ownRange ? spec.QuantMin : null,
                QuantMax = ownRange ? spec.QuantMax : null,
                ReduceRange = ReduceRange ?? spec.ReduceRange,
                Kind = Kind(spec.Kind, channels),
                Scheme = Scheme(symmetric, channels),
            };
        }

        static ObserverKind Kind(ObserverKind kind, bool channels) => (kind, channels) switch
        {
            (ObserverKind.MovingAverageMinMax or ObserverKind.MovingAveragePerChannelMinMax, true) => ObserverKind.MovingAveragePerChannelMinMax,
            (ObserverKind.MovingAverageMinMax or ObserverKind.MovingAveragePerChannelMinMax, false) => ObserverKind.MovingAverageMinMax,
            (_, true) => ObserverKind.PerChannelMinMax,
            (ObserverKind.PerChannelMinMax, false) => ObserverKind.MinMax,
            _ => kind,
        };

        static QScheme Scheme(bool symmetric, bool channels) => (symmetric, channels) switch
        {
            (true, true) => QScheme.PerChannelSymmetric,
            (true, false) => QScheme.PerTensorSymmetric,
            (false, true) => QScheme.PerChannelAffine,
            (false, false) => QScheme.PerTensorAffine,
        };
    }
}
