using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Passes;

/// <summary>A rewrite of the float graph before calibration, after which it computes the same. One file each, one line in
/// <see cref="PassRegistry"/>.</summary>
public abstract class GraphPass
{
    public abstract string Name { get; }

    /// <summary>Whether more is known of types and shapes behind a rewrite than before.</summary>
    public virtual bool TellsTypes => false;

    /// <summary>Rewrites the model in place.</summary>
    /// <returns>How many places were rewritten.</returns>
    public int Apply(OnnxModel model) => Apply(new PassContext(model));

    /// <summary>Rewrites the context's model in place.</summary>
    /// <returns>How many places were rewritten.</returns>
    public abstract int Apply(PassContext context);
}
