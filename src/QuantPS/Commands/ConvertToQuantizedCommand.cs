using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Commands;

/// <summary>ConvertTo-Quantized: a Calibration to a quantized model, or a float tensor to integers with known parameters.</summary>
[Cmdlet(VerbsData.ConvertTo, "Quantized", DefaultParameterSetName = CalibrationSet)]
[OutputType(typeof(QuantizedModel), ParameterSetName = [CalibrationSet])]
[OutputType(typeof(QuantizedTensor), ParameterSetName = [TensorSet])]
public sealed class ConvertToQuantizedCommand : QuantCmdlet
{
    private const string TensorSet = "Tensor";
    private const string CalibrationSet = "Calibration";

    /// <summary>What Invoke-Calibration gave, or the tensors to quantize.</summary>
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

    /// <summary>Reproduces the real engines' defects too: of the layers' kernels, and what quantize makes of NaN and values beyond int32.</summary>
    [Parameter]
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
            Guard(() => WriteObject(ParameterSetName == TensorSet ? Quantize(value) : Convert(value)), value);
        }
    }

    private QuantizedTensor Quantize(object value) => value is Tensor tensor
        ? Compat
            ? QuantizeCompatKernels.Quantize(tensor, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, tensor.Rank), TorchVersion)
            : Quantizer.Quantize(tensor, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, tensor.Rank), Onnx)
        : throw new QuantException(ErrorIds.InvalidArgument, $"With -Scale a Tensor is wanted, not {value.GetType().Name}.", value);

    private QuantizedModel Convert(object value)
    {
        Calibration calibration = value switch
        {
            Calibration c => c,
            QModel model => throw new QuantException(ErrorIds.NotCalibrated, $"The model '{model.Name}' is not calibrated yet: pipe samples of its input through Invoke-Calibration -Model, and what that gives to ConvertTo-Quantized.", model),
            Tensor tensor => throw new QuantException(ErrorIds.InvalidArgument, $"{tensor}: name -Scale (and -ZeroPoint, -DType, -Axis) to quantize a tensor.", tensor),
            _ => throw new QuantException(ErrorIds.InvalidArgument, $"A Calibration (Invoke-Calibration) or a Tensor is wanted, not {value.GetType().Name}.", value),
        };
        var quantized = new QuantizedModel(calibration.Model, ModelQuantizer.Quantize(calibration.Data, Compat));
        foreach (string warning in quantized.Warnings)
            WriteWarning(warning);
        return quantized;
    }
}
