using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Weights of Gemm and MatMul as PyTorch's Linear has them: [out, in].</summary>
internal static class MatrixWeight
{
    /// <summary>A float32 matrix as [out, in].</summary>
    /// <param name="weight">The constant of the file.</param>
    /// <param name="transposed">Whether the file has it as [in, out].</param>
    public static Tensor OutputsFirst(TensorProto weight, bool transposed)
    {
        Tensor w = weight.ToTensor();
        if (!transposed)
            return w;
        int rows = w.Dims[0], columns = w.Dims[1];
        Tensor t = new(columns, rows) { Name = w.Name };
        Transpose<float>(w.Span, t.Span, rows, columns);
        return t;
    }

    /// <summary>An 8-bit matrix [in, out] as [out, in], or the other way round.</summary>
    public static QuantizedTensor Transposed(QuantizedTensor weight)
    {
        QParams p = weight.QParams;
        (int rows, int columns) = (weight.Dims[0], weight.Dims[1]);
        QuantizedTensor turned = QuantizedTensor.Allocate([columns, rows],
            p.IsPerChannel ? new QParams(p.Scales.ToArray(), p.ZeroPoints.ToArray(), p.DType, p.Scheme, 1 - p.Axis) : p);
        Transpose<byte>(weight.Bytes, turned.Bytes, rows, columns);
        return turned;
    }

    /// <summary>Writes a [rows, columns] matrix as [columns, rows].</summary>
    public static void Transpose<T>(ReadOnlySpan<T> from, Span<T> to, int rows, int columns)
    {
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++)
                to[c * rows + r] = from[r * columns + c];
        }
    }
}
