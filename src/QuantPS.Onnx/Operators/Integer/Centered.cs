using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>8-bit integers with their zero point taken off: -255 to 255, as int16.</summary>
internal static class Centered
{
    /// <param name="tensor">8-bit integers.</param>
    /// <param name="zeroPoints">One or several; null for 0.</param>
    /// <param name="which">The zero point of an element, where there are several.</param>
    public static short[] From(IntegerTensor tensor, IntegerTensor? zeroPoints, Func<int, int> which)
    {
        var result = new short[tensor.Length];
        int only = zeroPoints is { Length: 1 } ? zeroPoints[0] : 0;
        for (int i = 0; i < result.Length; i++)
            result[i] = (short)(tensor[i] - (zeroPoints is { Length: > 1 } ? zeroPoints[which(i)] : only));
        return result;
    }
}
