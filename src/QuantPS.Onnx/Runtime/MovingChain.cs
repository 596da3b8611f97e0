using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Runtime;

/// <summary>Steps that only move elements, all of them those of one value.</summary>
internal sealed class MovingChain
{
    private readonly string start;
    private readonly string[] ends;
    private readonly PlanStep[] steps;

    /// <param name="start">The value.</param>
    /// <param name="steps">In running order, each with a single input and <see cref="IMovingStep.Moves"/>.</param>
    /// <param name="ends">The values that are asked for; may be the first one too.</param>
    public MovingChain(string start, IEnumerable<PlanStep> steps, IEnumerable<string> ends)
    {
        this.start = start;
        this.steps = [.. steps];
        this.ends = [.. ends];
    }

    /// <summary>What the chain picks, if every end has channels of the same image, each at its place in the image: for each end, of every channel the one that it is.
    /// Null where some element goes elsewhere.</summary>
    /// <remarks>The chain itself says so: it is run on a tensor whose elements are their own places, a byte of these at a time. That is as good for chains of any
    /// operators as knowing them one by one, and cannot be wrong about one of them.</remarks>
    /// <param name="dims">Sizes of the first value.</param>
    public IReadOnlyList<int[]>? Picks(int[] dims)
    {
        int length = TensorShape.Count(dims);
        if (dims.Length < 3 || length == 0)
            return null;
        int[][] places = new int[ends.Length][];
        int[] sizes = new int[ends.Length];
        int shift = 0;
        do
        {
            Dictionary<string, QuantizedTensor> values = Moved(dims, length, shift);
            for (int e = 0; e < ends.Length; e++)
            {
                QuantizedTensor end = values[ends[e]];
                if (end.Rank != dims.Length || end.Dims[0] != dims[0] || !end.Dims[2..].SequenceEqual(dims.AsSpan(2)))
                    return null;
                sizes[e] = end.Dims[1];
                places[e] ??= new int[end.Length];
                ReadOnlySpan<byte> bytes = end.Bytes;
                for (int i = 0; i < bytes.Length; i++)
                    places[e][i] |= bytes[i] << shift;
            }
            shift += 8;
        }
        while (shift < 32 && length - 1 >> shift > 0);
        int[]?[] picks = [.. places.Select((p, e) => Pick(p, sizes[e], dims))];
        return picks.Contains(null) ? null : [.. picks.OfType<int[]>()];
    }

    /// <summary>All values of the chain, made of the places' bytes from a bit on.</summary>
    private Dictionary<string, QuantizedTensor> Moved(int[] dims, int length, int shift)
    {
        QuantizedTensor x = QuantizedTensor.Allocate(dims, new QParams(1f, 0, QDType.QUInt8));
        Span<byte> bytes = x.Bytes;
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(i >> shift);
        Dictionary<string, QuantizedTensor> values = new(StringComparer.Ordinal) { [start] = x };
        foreach (PlanStep step in steps)
        {
            IReadOnlyList<Operators.Int8Step> moves = ((IMovingStep)step).Moves;
            QuantizedTensor[] given = [values[step.Inputs[0]]];
            for (int o = 0; o < moves.Count; o++)
                values[step.Outputs[o]] = moves[o](given, 0);
        }
        return values;
    }

    /// <summary>The channels by the places of an end's elements.</summary>
    private static int[]? Pick(int[] places, int count, int[] dims)
    {
        int channels = dims[1], area = TensorShape.Count(dims.AsSpan(2));
        int[] picked = new int[count];
        for (int i = 0; i < places.Length; i++)
        {
            (int plane, int pixel) = Math.DivRem(i, area);
            (int image, int channel) = Math.DivRem(plane, count);
            // What the first pixel of the first image says has to hold for all.
            if (i == channel * area)
                picked[channel] = places[i] / area;
            if (picked[channel] >= channels || places[i] != (image * channels + picked[channel]) * area + pixel)
                return null;
        }
        return picked;
    }
}
