using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Quantization;

/// <summary>The patterns of <see cref="QuantizeOptions"/> against a model's nodes.</summary>
internal static class OptionPatterns
{
    /// <summary>A pattern that matches nothing is a mistake, of which the user would otherwise never hear.</summary>
    /// <param name="options">The patterns.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="work">Its nodes.</param>
    /// <param name="opTypes">The operator types that can be quantized at all.</param>
    /// <exception cref="QuantException">LayerNotFound, with the nearest names.</exception>
    public static void Check(QuantizeOptions options, string model, NodeProto[] work, IEnumerable<string> opTypes)
    {
        string[] names = [.. work.Select(GraphIndex.DisplayName)], types = [.. work.Select(n => n.OpType).Distinct()];
        Check(options.Nodes, names, "node");
        Check(options.ExcludedNodes, names, "node");
        // A list of types for many models names some that this one does not have; but it must not be a slip of the pen.
        string[] known = [.. types, .. opTypes];
        Check(options.ExcludedOpTypes, known, "operator type");
        Check(options.FloatOutputs, known, "operator type");
        Check(options.OpTypes, known, "operator type");
        Check(options.ChannelAxes.Keys, known, "operator type");

        void Check(IEnumerable<string> patterns, string[] candidates, string what)
        {
            foreach (string pattern in patterns.Where(p => Match([p], candidates) is null))
            {
                throw new QuantException(ErrorIds.LayerNotFound,
                    $"'{model}' has no {what} '{pattern}'. The nearest: {string.Join(", ", LayerPattern.Nearest(pattern, candidates))}.", pattern);
            }
        }
    }

    /// <summary>The first of the patterns that a name matches; null without.</summary>
    public static string? Match(IEnumerable<string>? patterns, params string[] names) =>
        patterns?.FirstOrDefault(p => names.Any(n => LayerPattern.Matches(p, n)));

    /// <summary>Why the user wants a node in float; null when not.</summary>
    /// <param name="options">The patterns.</param>
    /// <param name="node">The node.</param>
    /// <param name="more">Further patterns of nodes that stay float.</param>
    public static string? WhyExcluded(QuantizeOptions options, NodeProto node, IEnumerable<string>? more = null)
    {
        string name = GraphIndex.DisplayName(node);
        if (Match((more ?? []).Concat(options.ExcludedNodes), name) is string pattern)
            return pattern.Equals(name, StringComparison.OrdinalIgnoreCase) ? "it is excluded" : $"it is excluded by '{pattern}'";
        return Match(options.ExcludedOpTypes, node.OpType) is string type ? $"it is excluded by its type '{type}'" : null;
    }
}
