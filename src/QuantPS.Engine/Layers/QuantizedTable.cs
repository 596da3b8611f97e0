using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Any function of one variable on 8-bit integers, by a table of 256 entries: quantize(f(dequantize(q))). Exact by construction.</summary>
public sealed class QuantizedTable
{
    private readonly ByteTable table;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the output.</param>
    /// <param name="function">float32 to float32.</param>
    /// <param name="onnxRule">Quantize by division, as ONNX does.</param>
    public QuantizedTable(QParams input, QParams output, Func<float, float> function, bool onnxRule = false)
    {
        OutputQParams = output;
        float[] real = QuantizedAdd.DequantizeTable(input);
        (int low, int high) = output.DType.Range();
        float scale = output.Scales[0];
        var entries = new byte[256];
        for (int i = 0; i < entries.Length; i++)
        {
            float v = function(real[i]);
            entries[i] = unchecked((byte)(onnxRule
                ? Quantizer.QuantizeOnnx(v, scale, output.ZeroPoints[0], low, high)
                : Quantizer.QuantizeTorch(v, 1f / scale, output.ZeroPoints[0], low, high)));
        }
        table = new ByteTable(entries);
    }

    public QParams OutputQParams { get; }

    /// <param name="x">8-bit integers under the input's parameters.</param>
    /// <param name="inPlace">Write over them: nobody needs them any more.</param>
    public QuantizedTensor Run(QuantizedTensor x, bool inPlace = false)
    {
        bool isLast = x.TryGetChannelsLast(out Memory<byte> bytes);
        bytes = isLast ? bytes : x.Memory;
        KernelLayout layout = isLast ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        Memory<byte> output = bytes;
        QuantizedTensor y = inPlace ? new QuantizedTensor(x.Shape, bytes, OutputQParams, layout) { Source = x.Source } : OperatorChecks.NewTensor(x.Shape, OutputQParams, x, layout, out output);
        TableKernel.Run(bytes, output, table);
        return y;
    }

    /// <summary>The same on bytes in any layout.</summary>
    /// <param name="x">8-bit integers.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    public void Run(ReadOnlyMemory<byte> x, Memory<byte> y) => TableKernel.Run(x, y, table);
}
