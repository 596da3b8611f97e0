namespace QuantPS.Engine.Numerics;

/// <summary>The float32 functions that PyTorch's vectorized kernels call, bit for bit: SLEEF's 1.0-ulp versions with fused multiply-add.</summary>
/// <remarks>
/// They differ from the C library by a unit in the last place now and then, which decides ties after quantization.
/// Source: SLEEF src/libm/sleefsimdsp.c xexpf, xtanhf, xexpm1f, expk2f; src/common/df.h (arithmetic on pairs of floats, ENABLE_FMA_SP);
/// called by PyTorch aten/src/ATen/cpu/vec/vec256/vec256_float.h (Sleef_expf8_u10, Sleef_tanhf8_u10, Sleef_expm1f8_u10).
/// </remarks>
public static class SleefMath
{
    private const float Ln2High = 0.693145751953125f, Ln2Low = 1.428606765330187045e-06f;
    private const float Log2E = 1.442695040888963407359924681001892137426645954152985934135449406931f;

    /// <summary>e^d. 0 below -104, infinite above 100.</summary>
    public static float Exp(float d)
    {
        if (d < -104f)
            return 0f;
        if (d > 100f)
            return float.PositiveInfinity;
        if (float.IsNaN(d))
            return d;
        int q = (int)Rounding.HalfToEven(d * Log2E);
        float s = Fma(q, -Ln2High, d);
        s = Fma(q, -Ln2Low, s);
        float u = 0.000198527617612853646278381f;
        u = Fma(u, s, 0.00139304355252534151077271f);
        u = Fma(u, s, 0.00833336077630519866943359f);
        u = Fma(u, s, 0.0416664853692054748535156f);
        u = Fma(u, s, 0.166666671633720397949219f);
        u = Fma(u, s, 0.5f);
        return ScaleByPowerOfTwo(1f + Fma(s * s, u, s), q);
    }

    /// <summary>tanh(x); exactly +-1 beyond 8.664339742.</summary>
    public static float Tanh(float x)
    {
        if (float.IsNaN(x))
            return x;
        float y = MathF.Abs(x);
        if (y > 8.664339742f)
            return MathF.CopySign(1f, x);
        Pair d = ExpPair(y);
        Pair e = Pair.Reciprocal(d);
        Pair t = Pair.Divide(Pair.AddOrdered(d, new Pair(-e.X, -e.Y)), Pair.AddOrdered(d, e));
        return MathF.CopySign(t.X + t.Y, x);
    }

    /// <summary>e^a - 1, accurate near 0; exactly -1 below -16.6355.</summary>
    public static float ExpM1(float a)
    {
        if (a > 88.72283172607421875f)
            return float.PositiveInfinity;
        if (a < -16.635532333438687426013570f)
            return -1f;
        if (a == 0f || float.IsNaN(a))
            return a;
        Pair d = Pair.Add(ExpPair(a), -1f);
        return d.X + d.Y;
    }

    /// <summary>e^d as a pair whose sum is the value.</summary>
    private static Pair ExpPair(float d)
    {
        int q = (int)Rounding.HalfToEven(d * Log2E);
        Pair s = Pair.Add(new Pair(d, 0f), q * -Ln2High);
        s = Pair.Add(s, q * -Ln2Low);
        float u = 0.1980960224e-3f;
        u = Fma(u, s.X, 0.1394256484e-2f);
        u = Fma(u, s.X, 0.8333456703e-2f);
        u = Fma(u, s.X, 0.4166637361e-1f);
        Pair t = Pair.Add(Pair.Multiply(s, u), 0.166666659414234244790680580464e+0f);
        t = Pair.Add(Pair.Multiply(s, t), 0.5f);
        t = Pair.Add(s, Pair.Multiply(Pair.Square(s), t));
        t = Pair.AddOrdered(1f, t);
        return new Pair(ScaleByPowerOfTwo(t.X, q), ScaleByPowerOfTwo(t.Y, q));
    }

    private static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    // Two steps, so that results at both ends of the exponent's range come out rounded once.
    private static float ScaleByPowerOfTwo(float v, int exponent) => v * PowerOfTwo(exponent >> 1) * PowerOfTwo(exponent - (exponent >> 1));

    private static float PowerOfTwo(int exponent) => BitConverter.Int32BitsToSingle((exponent + 127) << 23);

    /// <summary>An unevaluated sum of two floats.</summary>
    private readonly record struct Pair(float X, float Y)
    {
        public static Pair Add(Pair x, float y)
        {
            float s = x.X + y, v = s - x.X;
            float t = x.X - (s - v) + (y - v);
            return new Pair(s, t + x.Y);
        }

        public static Pair Add(Pair x, Pair y)
        {
            float s = x.X + y.X, v = s - x.X;
            float t = x.X - (s - v) + (y.X - v);
            return new Pair(s, t + (x.Y + y.Y));
        }

        /// <summary>For |x| >= |y|.</summary>
        public static Pair AddOrdered(float x, Pair y)
        {
            float s = x + y.X;
            return new Pair(s, x - s + y.X + y.Y);
        }

        /// <summary>For |x| >= |y|.</summary>
        public static Pair AddOrdered(Pair x, Pair y)
        {
            float s = x.X + y.X;
            return new Pair(s, x.X - s + y.X + x.Y + y.Y);
        }

        public static Pair Multiply(Pair x, float y)
        {
            float s = x.X * y;
            return new Pair(s, Fma(x.Y, y, Fma(x.X, y, -s)));
        }

        public static Pair Multiply(Pair x, Pair y)
        {
            float s = x.X * y.X;
            return new Pair(s, Fma(x.X, y.Y, Fma(x.Y, y.X, Fma(x.X, y.X, -s))));
        }

        public static Pair Square(Pair x)
        {
            float s = x.X * x.X;
            return new Pair(s, Fma(x.X + x.X, x.Y, Fma(x.X, x.X, -s)));
        }

        public static Pair Reciprocal(Pair d)
        {
            float s = 1f / d.X;
            return new Pair(s, s * Fma(-d.Y, s, Fma(-d.X, s, 1f)));
        }

        public static Pair Divide(Pair n, Pair d)
        {
            float t = 1f / d.X, s = n.X * t;
            float u = Fma(t, n.X, -s);
            float v = Fma(-d.Y, t, Fma(-d.X, t, 1f));
            return new Pair(s, Fma(s, v, Fma(n.Y, t, u)));
        }
    }
}
