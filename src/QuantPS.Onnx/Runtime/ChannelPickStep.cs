using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime;

/// <summary>Steps that join images and move what comes of it, made one where they are a pick of channels: the channel shuffle of ShuffleNet, Reshape, Transpose and
/// Reshape, with the Concat before it and the Split behind it, is then a pick for each end. Otherwise they run one after the other.</summary>
/// <remarks>Whether they are a pick depends on the sizes that come in. They are asked, <see cref="MovingChain"/>, when sizes come a second time, as those that come
/// once are not worth it. Where activations lie in planes the steps move whole rows, and stay.</remarks>
internal sealed class ChannelPickStep : PlanStep
{
    // Kernels cost more than most chains that they are for.
    private const int MostKnown = 64;

    private readonly PlanStep[] parts;
    private readonly LayerStep? join;
    private readonly IMovingStep[] makers;
    private readonly StepSequence sequence;
    private readonly MovingChain moves;
    // Where every step moves what the one before it made.
    private readonly Int8Step[]? line;
    private Known[] known = [];
    private int pickCount;

    /// <param name="parts">In running order; the first one joins or moves, the others move what it made.</param>
    /// <param name="ends">What others need of their results.</param>
    private ChannelPickStep(PlanStep[] parts, string[] ends)
    {
        this.parts = parts;
        join = parts[0] is LayerStep { Joint: not null } first ? first : null;
        Inputs = parts[0].Inputs;
        Outputs = ends;
        makers = [.. ends.Select(e => (IMovingStep)parts.First(p => p.Outputs.Contains(e)))];
        line = join is null && ends.Length == 1 && ends[0] == parts[^1].Outputs[0] && parts.Zip(parts.Skip(1)).All(p => p.First.Outputs is [var made] && p.Second.Inputs is [var taken] && made == taken)
            ? [.. parts.Select(p => ((IMovingStep)p).Moves[0])] : null;
        // The inputs are somebody else's to drop.
        sequence = new StepSequence(parts, Inputs, [.. Inputs, .. ends], default);
        moves = join is null ? new MovingChain(Inputs[0], parts, ends) : new MovingChain(join.Outputs[0], parts[1..], ends);
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    /// <summary>How often the steps were a pick so far.</summary>
    public int PickCount => pickCount;

    public override string Description => string.Join(" + ", parts.Select(p => p.Description));

    public override IEnumerable<PlanLayer> Layers =>
        [.. parts[0].Layers, .. parts[1..].SelectMany(p => p.Layers).Select(l => l with { Kernel = () => $"with {parts[0].Layers.First().Name}" })];

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        QuantizedTensor[] images = join?.Operands(inputs) ?? [((IMovingStep)parts[0]).Read(0, inputs[0])];
        Known? seen = Find(images);
        if (seen is { IsAsked: false })
            seen = Ask(seen);
        if (seen?.Pick is { } pick && QuantizedChannelPick.Suits(images))
        {
            QuantizedTensor[] results = pick.Run(images);
            for (int i = 0; i < results.Length; i++)
                outputs[i] = makers[i].Made(results[i]);
            Interlocked.Increment(ref pickCount);
            return;
        }
        if (line is null)
            RunEach(inputs, outputs);
        else
            outputs[0] = makers[0].Made(RunLine(images[0]));
        if (seen is null)
            Remember(new Known([.. images.Select(t => t.Shape)], false, null));
    }

    public override void Dispose() => sequence.Dispose();

    /// <summary>Puts such steps in the place of the first of theirs.</summary>
    /// <param name="steps">In running order.</param>
    /// <param name="kept">Values that have to be there afterwards.</param>
    public static IReadOnlyList<PlanStep> Fuse(IReadOnlyList<PlanStep> steps, IReadOnlyCollection<string> kept)
    {
        HashSet<string> outputs = new(kept, StringComparer.Ordinal);
        ILookup<string, PlanStep> consumers = steps.SelectMany(s => s.Inputs.Select(v => (Value: v, Step: s))).ToLookup(u => u.Value, u => u.Step, StringComparer.Ordinal);
        HashSet<PlanStep> gone = new(ReferenceEqualityComparer.Instance);
        Dictionary<PlanStep, ChannelPickStep> fused = new(ReferenceEqualityComparer.Instance);
        foreach (PlanStep first in steps)
        {
            if (gone.Contains(first) || first is not IMovingStep { Meaning: var meaning } root || root.Moves.Count == 0 && first is not LayerStep { Joint: not null })
                continue;
            List<PlanStep> parts = [first];
            for (int i = 0; i < parts.Count; i++)
                parts.AddRange(parts[i].Outputs.SelectMany(v => consumers[v]).Where(s => s is IMovingStep { Moves.Count: > 0 } next && next.Meaning.IsSameAs(meaning)));
            HashSet<PlanStep> own = new(parts, ReferenceEqualityComparer.Instance);
            string[] ends = [.. parts.SelectMany(p => p.Outputs).Where(v => outputs.Contains(v) || consumers[v].Any(s => !own.Contains(s)))];
            if (parts.Count == 1 || ends.Length == 0)
                continue;
            fused[first] = new ChannelPickStep([.. parts], ends);
            gone.UnionWith(parts);
        }
        return [.. steps.Where(s => !gone.Contains(s) || fused.ContainsKey(s)).Select(s => fused.GetValueOrDefault(s) ?? s)];
    }

    private QuantizedTensor RunLine(QuantizedTensor image)
    {
        QuantizedTensor at = image;
        foreach (Int8Step move in line!)
        {
            QuantizedTensor moved = move([at], 0);
            // Memory of its own that nothing has any more.
            if (!ActivationPool.AreOne(at, image) && !ActivationPool.AreOne(at, moved))
                ActivationPool.Current?.Return(at);
            at = moved;
        }
        return at;
    }

    private void RunEach(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        var given = new KeyValuePair<string, GraphValue>[inputs.Length];
        for (int i = 0; i < given.Length; i++)
            given[i] = KeyValuePair.Create(Inputs[i], inputs[i]);
        // Not disposed: the inputs and the results live on, and what is between are integers, whose memory the pool gets.
        StepSequence.Values values = sequence.Begin(given);
        values.Run(pool: ActivationPool.Current);
        for (int i = 0; i < outputs.Length; i++)
            outputs[i] = values.Find(Outputs[i]);
    }

    private Known? Find(QuantizedTensor[] images)
    {
        foreach (Known k in Volatile.Read(ref known))
        {
            if (k.IsOf(images))
                return k;
        }
        return null;
    }

    private Known Ask(Known seen)
    {
        Known answered = new(seen.Shapes, true, PickOf(seen.Shapes));
        Remember(answered);
        return answered;
    }

    private QuantizedChannelPick? PickOf(int[][] shapes)
    {
        int[] channels = Array.ConvertAll(shapes, s => s.Length > 2 ? s[1] : 0);
        if (channels.Contains(0) || (join is not null && TensorShape.NormalizeAxis(join.Joint!.Dim, shapes[0].Length) != 1))
            return null;
        int[] all = [shapes[0][0], channels.Sum(), .. shapes[0][2..]];
        return moves.Picks(all) is { } picks ? new QuantizedChannelPick(join?.Joint, channels, picks) : null;
    }

    /// <summary>Another thread's may be lost; then they are asked once more.</summary>
    private void Remember(Known seen) => Volatile.Write(ref known, [.. known.Where(k => !ReferenceEquals(k.Shapes, seen.Shapes)).TakeLast(MostKnown - 1), seen]);

    /// <summary>What is known of the sizes that came in.</summary>
    /// <param name="Shapes">Of every operand.</param>
    /// <param name="IsAsked">Whether the chain was asked for them.</param>
    /// <param name="Pick">What it is then; null where it is none.</param>
    private sealed record Known(int[][] Shapes, bool IsAsked, QuantizedChannelPick? Pick)
    {
        public bool IsOf(QuantizedTensor[] images)
        {
            for (int i = 0; i < images.Length; i++)
            {
                if (!images[i].Dims.SequenceEqual(Shapes[i]))
                    return false;
            }
            return true;
        }
    }
}
