using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Passes;

/// <summary>The passes, a line each, in the order in which they run.</summary>
public static class PassRegistry
{
    /// <summary>Identity first: it may stand between a convolution and its normalization.</summary>
    public static IReadOnlyList<GraphPass> Default { get; } =
    [
        new RemoveIdentity(),
        new FoldBatchNormalization(),
    ];

    /// <summary>Runs passes over a copy; the model itself stays as it is.</summary>
    public static OnnxModel Apply(OnnxModel model, IEnumerable<GraphPass>? passes = null)
    {
        OnnxModel copy = model.Clone();
        foreach (GraphPass pass in passes ?? Default)
        {
            pass.Apply(copy);
            copy.Invalidate();
        }
        return copy;
    }
}
