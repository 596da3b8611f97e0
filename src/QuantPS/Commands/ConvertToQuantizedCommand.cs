using System.Collections;
using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Commands;

/// <summary>ConvertTo-Quantized: a Calibration to a quantized model, a model to one that quantizes its activations while it runs, or a
/// float tensor to integers with
/// known parameters.</summary>
/// <remarks>What follows a calibration can be repeated with other options, without data. The help of each option has the name that it has
/// in ONNX Runtime's quantize_static.</remarks>
[Cmdlet(VerbsData.ConvertTo, "Quantized", DefaultParameterSetName = CalibrationSet)]
[OutputType(typeof(QuantizedModel), ParameterSetName = [CalibrationSet])]
[OutputType(typeof(QuantizedTensor), ParameterSetName = [TensorSet])]
[OutputType(typeof(QModel), ParameterSetName = [DynamicSet])]
public sealed class ConvertToQuantizedCommand : QuantCmdlet
{
    private const string TensorSet = "Tensor";
    private const string CalibrationSet = "Calibration";
    private const string DynamicSet = "Dynamic";

    /// <summary>What Invoke-Calibration gave, the tensors to quantize, or (with -Dynamic) float models.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public object[] InputObject { get; set; } = [];

    /// <summary>One scale, or one per channel along -Axis.</summary>
    [Parameter(Mandatory = true, ParameterSetName = TensorSet)]
    public float[] Scale { get; set; } = [];

    /// <summary>One zero point, or one per channel. 0 by default.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    [ValidateNotNull]
    public int[] ZeroPoint { get; set; } = [];

    /// <summary>quint8 (the default), qint8, qint32, int16, uint16, int4 or quint4x2 (uint4).</summary>
    [Parameter(ParameterSetName = TensorSet)]
    [Spelling<QDType>]
    public QDType DType { get; set; } = QDType.QUInt8;

    /// <summary>The channels' dimension; makes the parameters per channel.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    public int? Axis { get; set; }

    /// <summary>ONNX's rule, x / scale, instead of PyTorch's, x * (1 / scale).</summary>
    [Parameter(ParameterSetName = TensorSet)]
    public SwitchParameter Onnx { get; set; }

    /// <summary>Quantizes the weights now and the activations anew for every run: no calibration. Gives an ONNX model with MatMulInteger
    /// and ConvInteger. quantize_dynamic.</summary>
    [Parameter(Mandatory = true, ParameterSetName = DynamicSet)]
    public SwitchParameter Dynamic { get; set; }

    /// <summary>Also quantizes the bodies of If, Loop and Scan, which stay float otherwise. quantize_dynamic: EnableSubgraph, which quantize_static does not have.</summary>
    [Parameter(ParameterSetName = DynamicSet)]
    public SwitchParameter Subgraph { get; set; }

    /// <summary>Operator types to quantize, with wildcards; all that can be by default. quantize_static: op_types_to_quantize.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] OpType { get; set; } = [];

    /// <summary>Operator types that stay float, with wildcards. quantize_static: leave them out of op_types_to_quantize.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] ExcludeOpType { get; set; } = [];

    /// <summary>Nodes to quantize, with wildcards; all that can be by default. quantize_static: nodes_to_quantize.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Node { get; set; } = [];

    /// <summary>Nodes that stay float, with wildcards. quantize_static: nodes_to_exclude.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] ExcludeNode { get; set; } = [];

    /// <summary>A scale for every output channel of a weight; -PerChannel:$false one for all. By default as the QConfig says.
    /// quantize_static: per_channel.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    public SwitchParameter PerChannel { get; set; }

    /// <summary>Dimension of the channels of a type's weights, in the file's layout, where it shall not be the usual one: @{ MatMul = 0 }. Goes with scales per
    /// channel. quantize_static: QDQOpTypePerChannelSupportToAxis.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [ValidateNotNull]
    public IDictionary? ChannelAxis { get; set; }

    /// <summary>Weights use one bit less. quantize_static: reduce_range.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    public SwitchParameter ReduceRange { get; set; }

    /// <summary>Integer type of the activations: quint8, qint8, int16, uint16. Types of 16 bits run in float between QuantizeLinear and
    /// DequantizeLinear. quantize_static:
    /// activation_type.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Spelling<QDType>]
    public QDType ActivationDType { get; set; }

    /// <summary>Integer type of the weights: qint8, quint8, int16, uint16, int4, quint4x2; 8 bits with -Dynamic. Signed types are symmetric
    /// unless -SymmetricWeight is
    /// $false. quantize_static: weight_type.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [Spelling<QDType>]
    public QDType WeightDType { get; set; }

    /// <summary>Activations symmetric around 0. quantize_static: ActivationSymmetric.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter SymmetricActivation { get; set; }

    /// <summary>Weights symmetric around 0, or (-SymmetricWeight:$false) not. quantize_static: WeightSymmetric.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    public SwitchParameter SymmetricWeight { get; set; }

    /// <summary>Smallest distance between the ends of a range, for values that hardly vary. quantize_static: MinimumRealRange.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    [ValidateRange(float.Epsilon, float.MaxValue)]
    public float MinimumRealRange { get; set; }

    /// <summary>Parameters of single tensors: @{ tensor = @{ DType; Symmetric; ReduceRange; Axis; Scale; ZeroPoint; Min; Max; Convert = @{
    /// DType; ... }; ConvertFor } }. Convert
    /// gives consumers (all, or the nodes in ConvertFor) another form. quantize_static: TensorQuantOverrides (quant_type, symmetric,
    /// reduce_range, axis, scale, zero_point,
    /// rmin, rmax, convert, recv_nodes).</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [ValidateNotNull]
    public IDictionary? TensorOverride { get; set; }

    /// <summary>Operator types whose outputs stay float, with wildcards. quantize_static: OpTypesToExcludeOutputQuantization.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] FloatOutputOpType { get; set; } = [];

    /// <summary>Leaves products of two activations in float. quantize_static: MatMulConstBOnly.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = DynamicSet)]
    public SwitchParameter ConstantMatMulOnly { get; set; }

    /// <summary>A QuantizeLinear/DequantizeLinear pair for every consumer of a value. quantize_static: DedicatedQDQPair.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter DedicatedPair { get; set; }

    /// <summary>Relu and Clip stay in the QDQ file also where the range of the integers says the same. quantize_static:
    /// QDQKeepRemovableActivations.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter KeepActivation { get; set; }

    /// <summary>Biases stay float in the file. quantize_static: QuantizeBias = False.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter FloatBias { get; set; }

    /// <summary>The QDQ file has float weights behind QuantizeLinear/DequantizeLinear pairs. quantize_static: AddQDQPairToWeight.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter WeightPair { get; set; }

    /// <summary>A weight's scale stays as it is where the bias does not fit int32, which then saturates. quantize_static:
    /// QDQDisableWeightAdjustForInt32Bias.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter NoWeightAdjustment { get; set; }

    /// <summary>QuantizeLinear and DequantizeLinear of ONNX Runtime's own domain, com.microsoft. Types of 16 and 4 bits have them below
    /// opset 21 in any case. quantize_static:
    /// UseQDQContribOps.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter ContribOperator { get; set; }

    /// <summary>Element-wise nodes one behind the other are one table, with nothing rounded between: HardSwish, times a constant, plus a constant. The
    /// default; -FuseElementwise:$false quantizes every value, as the backend onnxruntime does unless told otherwise.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter FuseElementwise { get; set; }

    /// <summary>Brings the channels between convolutions and element-wise functions, in networks with depthwise convolutions, and in the residual streams of transformers
    /// to like ranges, by factors in weights and tables. The default in models where element-wise nodes are fused, and in others where a value's channels have ranges far apart.
    /// -EqualizeChannels:$false leaves them as they are.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter EqualizeChannels { get; set; }

    /// <summary>Chooses the scales of weights per channel for the smallest squared error and rounds so that errors cancel where inputs are alike. With x86 and
    /// fbgemm, activations have all 8 bits then, and neighboring weights are kept small enough for it. The default in models where element-wise nodes
    /// are fused; -FitWeightScale:$false takes the observer's scales, the nearest integers and PyTorch's ranges.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    public SwitchParameter FitWeightScale { get; set; }

    /// <summary>Reproduces the real engines' defects too: of the layers' kernels, and what quantize makes of NaN and values beyond
    /// int32.</summary>
    [Parameter(ParameterSetName = CalibrationSet)]
    [Parameter(ParameterSetName = TensorSet)]
    public SwitchParameter Compat { get; set; }

    /// <summary>Whose PyTorch -Compat follows for a tensor: 2 (the default) or 1.13. A calibration's QConfig names its own.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    [TorchVersion]
    public TorchVersion TorchVersion { get; set; } = TorchVersion.V2;

    /// <inheritdoc/>
    protected override void Process()
    {
        foreach (object item in InputObject)
        {
            Cancellation.ThrowIfCancellationRequested();
            object value = item is PSObject wrapped ? wrapped.BaseObject : item;
            Guard(() => WriteObject(ParameterSetName switch
            {
                TensorSet => Quantize(value),
                DynamicSet => ConvertDynamic(value),
                _ => Convert(value),
            }), value);
        }
    }

    private QuantizedTensor Quantize(object value) => value is Tensor tensor
        ? Compat
            ? QuantizeCompatKernels.Quantize(tensor, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, tensor.Rank), TorchVersion)
            : Quantizer.Quantize(tensor, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, tensor.Rank), Onnx)
        : throw new QuantException(ErrorIds.InvalidArgument, $"With -Scale a Tensor is wanted, not {value.GetType().Name}.", value);

    private QModel ConvertDynamic(object value) => value is QModel { Arithmetic: "float" } model
        ? new QModel(DynamicQuantizer.Quantize(PassRegistry.Apply(model.Onnx), QuantizeOptionsReader.Read(MyInvocation.BoundParameters)))
        : throw new QuantException(ErrorIds.InvalidArgument,
            $"With -Dynamic a float model (Import-QModel) is wanted, not {value.GetType().Name}.", value);

    private QuantizedModel Convert(object value)
    {
        Calibration calibration = value switch
        {
            Calibration c => c,
            QModel model => throw new QuantException(ErrorIds.NotCalibrated,
                $"The model '{model.Name}' is not calibrated yet: pipe samples of its input through Invoke-Calibration -Model, and what "
                + "that gives to ConvertTo-Quantized. Without data there is -Dynamic.", model),
            Tensor tensor => throw new QuantException(ErrorIds.InvalidArgument, $"{tensor}: name -Scale (and -ZeroPoint, -DType, -Axis) to quantize a tensor.", tensor),
            _ => throw new QuantException(ErrorIds.InvalidArgument, $"A Calibration (Invoke-Calibration) or a Tensor is wanted, not {value.GetType().Name}.", value),
        };
        var quantized = new QuantizedModel(calibration.Model, ModelQuantizer.Quantize(calibration.Data, Compat, QuantizeOptionsReader.Read(MyInvocation.BoundParameters)));
        foreach (string warning in quantized.Warnings)
            WriteWarning(warning);
        return quantized;
    }
}
