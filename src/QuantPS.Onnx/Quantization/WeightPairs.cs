namespace QuantPS.Onnx.Quantization;

/// <summary>Pairs of neighboring weights whose products with any two values of 8 bits add up within 16 bits.</summary>
/// <remarks>Processors without VNNI multiply unsigned by signed bytes with an instruction (vpmaddubsw) that adds two neighboring products with saturation
/// to 16 bits: 255 * 127 * 2 is too much. That is why x86 and fbgemm give up a bit of the activations; onednn does not, of which PyTorch warns on such
/// processors (torch/ao/quantization/qconfig.py). 255 * (a + b) fits for a + b from -128 to 128, and few pairs of a convolution are beyond that. Neighbors
/// are neighbors in the order in which kernels on such processors (MLAS, FBGEMM) go through a filter: pixel by pixel, all input channels of each, starting
/// with an even one.</remarks>
internal static class WeightPairs
{
    /// <summary>What the two may add up to.</summary>
    public const int Most = 128;

    /// <summary>Takes steps from the larger one of a pair, and from both in turn once they are alike, until it fits.</summary>
    /// <param name="weights">An output's integers, in the kernels' order.</param>
    /// <returns>Whether a pair was too large.</returns>
    public static bool Limit(Span<int> weights)
    {
        bool any = false;
        for (int i = 0; i + 1 < weights.Length; i += 2)
        {
            ref int a = ref weights[i], b = ref weights[i + 1];
            for (; Math.Abs(a + b) > Most; any = true)
            {
                ref int larger = ref Math.Abs(a) >= Math.Abs(b) ? ref a : ref b;
                larger -= Math.Sign(larger);
            }
        }
        return any;
    }

    /// <summary>Whether a weight may become another one.</summary>
    public static bool Fits(ReadOnlySpan<int> weights, int index, int value)
    {
        int other = index ^ 1;
        return other >= weights.Length || Math.Abs(value + weights[other]) <= Most;
    }
}
