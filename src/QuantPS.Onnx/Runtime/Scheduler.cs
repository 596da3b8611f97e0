namespace QuantPS.Onnx.Runtime;

/// <summary>Orders nodes so that those for ONNX Runtime come in runs as long as possible.</summary>
internal static class Scheduler
{
    /// <summary>All of our nodes that are ready, then all others that are, in turn. No group is empty.</summary>
    /// <param name="nodes">In running order.</param>
    /// <param name="available">Values that are there from the start.</param>
    /// <param name="isOurs">Whether this module's engine runs a node.</param>
    /// <param name="needs">Values that a node takes.</param>
    /// <param name="makes">Values that a node makes.</param>
    public static IEnumerable<(bool IsOurs, List<TNode> Nodes)> Group<TNode>(IEnumerable<TNode> nodes, IEnumerable<string> available,
        Func<TNode, bool> isOurs, Func<TNode, IEnumerable<string>> needs, Func<TNode, IEnumerable<string>> makes)
    {
        HashSet<string> ready = [.. available];
        LinkedList<TNode> waiting = new(nodes);
        while (waiting.Count > 0)
        {
            foreach (bool ours in (bool[])[true, false])
            {
                List<TNode> group = [];
                // One pass is enough: the nodes are in running order.
                for (LinkedListNode<TNode>? at = waiting.First, next; at is not null; at = next)
                {
                    next = at.Next;
                    if (isOurs(at.Value) != ours || !needs(at.Value).All(ready.Contains))
                        continue;
                    group.Add(at.Value);
                    ready.UnionWith(makes(at.Value));
                    waiting.Remove(at);
                }
                if (group.Count > 0)
                    yield return (ours, group);
            }
        }
    }
}
