using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>Random tensors that are rich in what goes wrong: ties, ends of ranges, scales far apart.</summary>
internal sealed class Draw(int seed)
{
    private static readonly float[] Specials = [0f, -0f, 1e30f, -1e30f, float.MaxValue, float.MinValue, float.Epsilon,
        float.PositiveInfinity, float.NegativeInfinity];

    public Random Random { get; } = new(seed);

    public int Int(int from, int to) => Random.Next(from, to + 1);

    public T Of<T>(params T[] choices) => choices[Random.Next(choices.Length)];

    /// <summary>Any integers of the type, the ends of its range more often than the others.</summary>
    public GraphValue Integers(DataType type, params int[] shape)
    {
        IntegerTensor t = IntegerTensor.Allocate(type, shape);
        (int min, int max) = t.Range;
        bool extremes = Random.Next(8) == 0;
        for (int i = 0; i < t.Length; i++)
            t[i] = extremes ? Of(min, max) : (int)Random.NextInt64(min, (long)max + 1);
        return new GraphValue(t);
    }

    /// <summary>The right-hand side of a product: any integers of the type, but signed ones of 7 bits. On processors without VNNI ONNX Runtime adds pairs of products of unsigned
    /// and signed bytes with saturation at int16, which two of these do not reach.</summary>
    public GraphValue Weights(DataType type, params int[] shape)
    {
        GraphValue weights = Integers(type, shape);
        if (type == DataType.Int8)
        {
            IntegerTensor t = weights.Typed!;
            for (int i = 0; i < t.Length; i++)
                t[i] >>= 1;
        }
        return weights;
    }

    /// <summary>Powers of two often: then ties are exact.</summary>
    public float Scale() => Random.Next(2) == 0 ? MathF.ScaleB(1, Int(-8, 2)) : (float)Math.Exp(Random.NextDouble() * 8 - 6);

    public GraphValue Scales(params int[] shape) =>
        OneNode.Floats(shape, [.. Enumerable.Range(0, shape.Aggregate(1, (a, b) => a * b)).Select(_ => Scale())]);

    /// <summary>Values around the steps of a scale: near ones, exact ties, beyond the range; with specials also infinities and the ends of
    /// float32.</summary>
    public GraphValue Floats(float step, int range, bool specials, params int[] shape)
    {
        var values = new float[shape.Aggregate(1, (a, b) => a * b)];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Random.Next(specials ? 16 : 15) switch
            {
                < 6 => (Int(-range, range) + 0.5f) * step,
                < 14 => (float)((Random.NextDouble() * 2 - 1) * range * 1.3) * step,
                < 15 => (float)(Random.NextDouble() * 2 - 1) * range * 100 * step,
                _ => Of(Specials),
            };
        }
        return OneNode.Floats(shape, values);
    }
}
