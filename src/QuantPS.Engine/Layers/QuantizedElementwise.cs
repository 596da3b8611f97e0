using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A function of one 8-bit variable, planned as a table of 256 entries.</summary>
public abstract class QuantizedElementwise
{
    private readonly Func<QParams, ElementwiseTables> make;
    private readonly ElementwiseTables own;
    private ElementwiseTables? last;

    private protected QuantizedElementwise(QParams input, LayerOptions options, Func<QParams, ElementwiseTables> make)
    {
        OperatorChecks.EightBit(input, "The input");
        Options = options;
        InputQParams = input;
        this.make = make;
        own = make(input);
        OperatorChecks.EightBit(own.Output, "The output");
    }

    public LayerOptions Options { get; }

    public QParams InputQParams { get; }

    /// <summary>Parameters of the result for the planned input.</summary>
    public QParams OutputQParams => own.Output;

    /// <summary>Runs on a tensor of any shape. As in PyTorch the tensor's own scale and zero point count, whatever was planned for.</summary>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        ElementwiseTables tables = TablesFor(x.QParams);
        if (!Options.Compat && x.TryGetChannelsLast(out Memory<byte> pixels))
        {
            QuantizedTensor z = OperatorChecks.NewTensor(x.Shape, tables.Output, x, KernelLayout.ChannelsLast, out Memory<byte> output);
            TableKernel.Run(pixels, output, tables.Vector);
            return z;
        }
        QuantizedTensor y = OperatorChecks.NewTensor(x.Shape, tables.Output, x);
        int vector = tables.Tail is null ? y.Length : AtenQuantizer.VectorLength(y.Length, Options);
        TableKernel.Run(x.Memory[..vector], y.Memory[..vector], tables.Vector);
        if (tables.Tail is { } tail)
            TableKernel.Run(x.Memory[vector..], y.Memory[vector..], tail);
        return y;
    }

    private ElementwiseTables TablesFor(QParams input)
    {
        if (OperatorChecks.SameParameters(input, InputQParams) && !input.IsPerChannel)
            return own;
        OperatorChecks.EightBit(input, "The input");
        ElementwiseTables? tables = last;
        if (tables is null || !OperatorChecks.SameParameters(input, tables.Input))
            last = tables = make(input);
        return tables;
    }
}

/// <summary>What an element-wise operator does to every byte.</summary>
/// <param name="Input">Parameters that the tables are made for.</param>
/// <param name="Output">Parameters of the result.</param>
/// <param name="Vector">Entry for every byte in a vector block.</param>
/// <param name="Tail">Entry for every byte in the left-overs; null where they do not differ.</param>
internal sealed record ElementwiseTables(QParams Input, QParams Output, byte[] Vector, byte[]? Tail)
{
    /// <summary>ATen's generic kernel: dequantize, apply, quantize; the vector blocks and the left-overs have functions of their own.</summary>
    /// <remarks>For the engine onnxruntime: DequantizeLinear, the plain function, QuantizeLinear (division).</remarks>
    public static ElementwiseTables Generic(QParams input, QParams output, EngineKind engine, LayerOptions options, Func<float, float> vector, Func<float, float> scalar, bool fused = true)
    {
        var vectorTable = new byte[256];
        float[] plain = AtenQuantizer.ScalarReals(input);
        if (engine == EngineKind.OnnxRuntime)
        {
            (int low, int high) = output.DType.Range();
            for (int i = 0; i < 256; i++)
                vectorTable[i] = unchecked((byte)Quantizer.QuantizeOnnx(scalar(plain[i]), output.Scales[0], output.ZeroPoints[0], low, high));
            return new(input, output, vectorTable, null);
        }
        var quantizer = new AtenQuantizer(output, options);
        float[] reals = fused ? AtenQuantizer.VectorReals(input) : plain;
        var tail = new byte[256];
        for (int i = 0; i < 256; i++)
        {
            vectorTable[i] = quantizer.Vector(vector(reals[i]));
            tail[i] = quantizer.Scalar(scalar(plain[i]));
        }
        return new(input, output, vectorTable, tail);
    }

    /// <summary>From integer to integer.</summary>
    public static ElementwiseTables Direct(QParams input, QParams output, Func<int, int> function)
    {
        var table = new byte[256];
        for (int i = 0; i < 256; i++)
            table[i] = unchecked((byte)function(input.DType == QDType.QInt8 ? (sbyte)i : i));
        return new(input, output, table, null);
    }

    /// <summary>QNNPACK's look-up tables (quint8 only): f gives the value in output steps, zero point included; clamped to 0..255, then rounded half to even.</summary>
    public static ElementwiseTables Qnnpack(QParams input, QParams output, Func<float, float> steps)
    {
        float[] plain = AtenQuantizer.ScalarReals(input);
        return Direct(input, output, q =>
        {
            float v = steps(plain[q]);
            v = v < 0f ? 0f : v;
            v = v > 255f ? 255f : v;
            return (int)Rounding.HalfToEven(v);
        });
    }

    /// <summary>Whether QNNPACK's own path is taken: engine qnnpack and quint8.</summary>
    public static bool TakesQnnpack(EngineKind engine, QParams input) => engine == EngineKind.Qnnpack && input.DType == QDType.QUInt8;
}
