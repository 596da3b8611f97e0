namespace QuantPS.Data.Importing;

/// <summary>Bilinear resizing with antialiasing, half-pixel centres: torchvision's Resize, torch's interpolate(mode="bilinear", antialias=True).</summary>
/// <remarks>Source: aten/native/cpu/UpSampleKernel.cpp, HelperInterpBase::_compute_indices_weights_aa. Horizontal pass first, float32. When
/// enlarging, the filter is as wide as a pixel and the result is plain bilinear interpolation (align_corners=False).</remarks>
public static class Resizing
{
    /// <summary>Resizes [outer, height, width, inner] to [outer, newHeight, newWidth, inner].</summary>
    public static float[] Bilinear(ReadOnlySpan<float> source, int outer, int height, int width, int inner, int newHeight, int newWidth)
    {
        float[] wide = Pass(source, outer * height, width, inner, newWidth);
        return Pass(wide, outer, height, newWidth * inner, newHeight);
    }

    /// <summary>Resizes the middle dimension of [outer, length, inner].</summary>
    private static float[] Pass(ReadOnlySpan<float> source, int outer, int length, int inner, int newLength)
    {
        if (newLength == length)
            return source.ToArray();
        float[] result = new float[outer * newLength * inner];
        float scale = (float)length / newLength;
        float support = Math.Max(1, scale);
        float inverse = 1 / support;
        Span<float> weights = new float[(int)MathF.Ceiling(support) * 2 + 1];
        for (int i = 0; i < newLength; i++)
        {
            float center = scale * (i + 0.5f);
            int first = Math.Max((int)(center - support + 0.5f), 0);
            int count = Math.Min(Math.Min((int)(center + support + 0.5f), length) - first, weights.Length);
            float total = 0;
            for (int k = 0; k < count; k++)
                total += weights[k] = Math.Max(0, 1 - MathF.Abs((k + first - center + 0.5f) * inverse));
            for (int k = 0; k < count; k++)
                weights[k] /= total;
            for (int o = 0; o < outer; o++)
            {
                for (int j = 0; j < inner; j++)
                {
                    float sum = 0;
                    for (int k = 0; k < count; k++)
                        sum += weights[k] * source[(o * length + first + k) * inner + j];
                    result[(o * newLength + i) * inner + j] = sum;
                }
            }
        }
        return result;
    }
}
