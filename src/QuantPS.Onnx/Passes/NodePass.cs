using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>A pass that looks at one node after the other, in running order.</summary>
public abstract class NodePass : GraphPass
{
    public sealed override int Apply(PassContext context)
    {
        int places = 0;
        foreach (NodeProto node in context.Graph.Nodes)
        {
            // An earlier rewrite may have taken it away.
            if (context.Holds(node) && Rewrite(context, node))
                places++;
        }
        return places;
    }

    /// <summary>Rewrites what ends in this node. False, and nothing changed, where it does not match.</summary>
    protected abstract bool Rewrite(PassContext context, NodeProto node);
}
