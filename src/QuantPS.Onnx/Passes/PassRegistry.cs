using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Passes;

/// <summary>The passes, a line each, in the order in which they run.</summary>
public static class PassRegistry
{
    /// <summary>A pass may make work for an earlier one. More rounds than any real model has chains of foldable nodes.</summary>
    private const int MostRounds = 10;

    /// <summary>Functions first, whose bodies the others have to see. Types of numbers, as the others take float32; then constants and shapes, as they tell the ranks of other values; then standard operators
    /// for others, and the operator set, so that the passes behind meet one form of each operator. Identity may stand between a convolution and its
    /// normalization. Activations before constant factors and summands, of which they are made.</summary>
    public static IReadOnlyList<GraphPass> Default { get; } =
    [
        new InlineFunctions(),
        new WidenFloat16(),
        new FoldConstants(),
        new FoldShapes(),
        new ReplaceExperimental(),
        new SplitFused(),
        new RaiseOpset(),
        new RemoveIdentity(),
        new FuseHardSigmoid(),
        new FuseHardSwish(),
        new FuseGelu(),
        new FuseLayerNormalization(),
        new MeanIsPool(),
        new DivisionIsProduct(),
        new SumIsAddition(),
        new FoldGemmFactors(),
        new FoldBatchNormalization(),
        new FoldScale(),
        new FoldBias(),
        new FoldIntoNextLayer(),
    ];

    /// <summary>Runs passes over a copy until there is nothing left to rewrite; the model itself stays as it is.</summary>
    /// <returns>The copy, whose <see cref="OnnxModel.Preparation"/> tells what was done.</returns>
    public static OnnxModel Apply(OnnxModel model, IEnumerable<GraphPass>? passes = null)
    {
        OnnxModel copy = model.Clone();
        GraphPass[] all = [.. passes ?? Default];
        PassContext context = new(copy);
        var places = new int[all.Length];
        for (int round = 0, changed = 1; changed > 0 && round < MostRounds; round++)
        {
            changed = 0;
            for (int i = 0; i < all.Length; i++)
            {
                // What tells types may by that tell itself more, and should before others ask.
                for (int again = 0, n = 1; n > 0 && again < (all[i].TellsTypes ? MostRounds : 1); again++)
                {
                    n = all[i].Apply(context);
                    places[i] += n;
                    changed += n;
                    if (n > 0 && all[i].TellsTypes)
                        context.RefreshTypes();
                }
            }
        }
        copy.Invalidate();
        copy.Preparation = [.. copy.Preparation, .. all.Zip(places).Where(p => p.Second > 0).Select(p => new AppliedPass(p.First.Name, p.Second))];
        return copy;
    }
}
