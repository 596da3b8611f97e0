namespace QuantPS.Engine.Numerics;

/// <summary>Functions as ONNX Runtime computes them, to the bit: its rational approximations, every step in float32 with fused products. Tables made of them are its own, also where a value lies between
/// two steps.</summary>
/// <remarks>Source: onnxruntime core/mlas/lib/logistic.cpp and tanh.cpp (the coefficients are Eigen's), as its kernels for FMA3 and for Arm evaluate them; without fused products, on
/// older processors, the last bit may be another.</remarks>
public static class MlasFunctions
{
    /// <summary>1 / (1 + exp(-x)): 0 from about -18 on; may exceed 1 by a unit in the last place.</summary>
    public static float Logistic(float x)
    {
        float v = Math.Clamp(x, -18f, 18f), square = v * v;
        float p = Horner(square, 4.37031012579801e-11f, 1.15627324459942e-07f, 6.08574864600143e-05f, 8.51377133304701e-03f, 2.48287947061529e-01f) * v;
        float q = Horner(square, 6.10247389755681e-13f, 5.76102136993427e-09f, 6.29106785017040e-06f, 1.70198817374094e-03f, 1.16817656904453e-01f, 9.93151921023180e-01f);
        return MathF.Max(p / q + 0.5f, 0f);
    }

    /// <summary>The hyperbolic tangent.</summary>
    public static float Tanh(float x)
    {
        float v = Math.Clamp(x, -9f, 9f), square = v * v;
        float p = Horner(square, -2.76076847742355e-16f, 2.00018790482477e-13f, -8.60467152213735e-11f, 5.12229709037114e-08f, 1.48572235717979e-05f, 6.37261928875436e-04f, 4.89352455891786e-03f) * v;
        float q = Horner(square, 1.19825839466702e-06f, 1.18534705686654e-04f, 2.26843463243900e-03f, 4.89352518554385e-03f);
        return p / q;
    }

    /// <summary>A polynomial, its highest coefficient first.</summary>
    private static float Horner(float x, params ReadOnlySpan<float> coefficients)
    {
        float sum = coefficients[0];
        foreach (float c in coefficients[1..])
            sum = MathF.FusedMultiplyAdd(sum, x, c);
        return sum;
    }
}
