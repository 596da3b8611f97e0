using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Runtime;

/// <summary>A value while a plan runs. Real numbers: as floats, as integers with their parameters, or both once somebody asked. Or integers
/// as the graph types them (<see cref="Typed"/>), to which a fused layer gives a meaning (<see cref="Meant"/>). Or a value of ONNX Runtime's
/// that is none of these (int64 shapes, masks, float16): <see cref="Native"/>.</summary>
internal sealed class GraphValue : IDisposable
{
    private Tensor? real;
    private QuantizedTensor? integers;
    private IntegerTensor? typed;

    // Integers for the graph that have parameters all the same: those of the layer that made them or first took them.
    private QuantizedTensor? meant;

    public GraphValue(Tensor tensor) => real = tensor;

    public GraphValue(QuantizedTensor tensor) => integers = tensor;

    public GraphValue(IntegerTensor tensor) => typed = tensor;

    private GraphValue(OrtValue value) => Native = value;

    private GraphValue(QuantizedTensor tensor, IntegerTensor? row) => (meant, typed) = (tensor, row);

    /// <summary>Integers without parameters, row-major; null when it is something else.</summary>
    public IntegerTensor? Typed => typed ??= meant is null ? null : IntegerTensor.Of(meant);

    /// <summary>A value that only float islands understand; null otherwise.</summary>
    public OrtValue? Native { get; }

    /// <summary>True when it stands for real numbers.</summary>
    public bool IsReal => real is not null || integers is not null;

    /// <summary>True once it exists as integers with parameters.</summary>
    public bool HasIntegers => integers is not null;

    /// <summary>The integers if it exists as such.</summary>
    public QuantizedTensor? IntegersIfAny => integers ?? meant;

    /// <summary>The floats if it exists as such.</summary>
    public Tensor? RealIfAny => real;

    /// <summary>Integers as the graph types them, in whatever layout a layer left them.</summary>
    public static GraphValue FromLayer(QuantizedTensor tensor) => new(tensor, null);

    /// <summary>The graph's integers under the parameters that their reader names.</summary>
    public QuantizedTensor Meant(QParams qparams)
    {
        meant ??= new QuantizedTensor(typed!.Shape, typed.Memory, qparams);
        return meant.QParams.IsSameAs(qparams) ? meant : meant.With(qparams);
    }

    /// <summary>The integers; quantized with the value's parameters when it came as float.</summary>
    public QuantizedTensor Integers(QParams qparams, bool onnxRule) => integers ??= Quantizer.Quantize(real!, qparams, onnxRule);

    /// <summary>The floats; dequantized when it came as integers.</summary>
    public Tensor Real() => real ??= integers!.Dequantize();

    /// <summary>A result of ONNX Runtime: copied where its type is one of ours, wrapped otherwise.</summary>
    /// <param name="value">Taken over: what is not wrapped is disposed.</param>
    /// <param name="name">Name of the value.</param>
    public static GraphValue TakeOrt(OrtValue value, string name)
    {
        GraphValue result = View(value, name);
        if (result.Native is null)
            value.Dispose();
        return result;
    }

    /// <summary>The same, while the value stays its owner's; a wrapping value must not be used for longer.</summary>
    public static GraphValue View(OrtValue value, string name)
    {
        DataType type = value.IsTensor ? (DataType)(int)value.GetTensorTypeAndShape().ElementDataType : DataType.Undefined;
        if (IntegerTensor.Holds(type))
            return new GraphValue(IntegerTensor.FromOrt(value));
        if (type != DataType.Float)
            return new GraphValue(value);
        ReadOnlySpan<float> data = value.GetTensorDataAsSpan<float>();
        Tensor t = new(OnnxRuntimeSession.ShapeOf(value), ActivationPool.AllocateFloats(data.Length)) { Name = name };
        data.CopyTo(t.Span);
        return new GraphValue(t);
    }

    /// <summary>For ONNX Runtime. What is made for the occasion is added to <paramref name="owned"/>, for the caller to dispose.</summary>
    public OrtValue ToOrt(List<OrtValue> owned)
    {
        if (Native is not null)
            return Native;
        owned.Add(Typed?.ToOrt() ?? OnnxRuntimeSession.ToOrt(Real()));
        return owned[^1];
    }

    public void Dispose() => Native?.Dispose();
}
