using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Recognizes GELU, x * 0.5 * (1 + erf(x / sqrt 2)) and its approximation by tanh, with the factors in any order.</summary>
/// <remarks>Gelu came with opset 20. A model that cannot be lifted gets ONNX Runtime's own operators (Gelu, FastGelu of com.microsoft). Source of
/// the forms: onnxruntime/python/tools/quantization/fusions/fusion_gelu.py, onnxruntime/core/optimizer/fast_gelu_fusion.cc; of the approximation:
/// Hendrycks and Gimpel, "Gaussian Error Linear Units".</remarks>
public sealed class FuseGelu : NodePass
{
    private const int Since = 20;
    private const float Cubic = 0.044715f, RootOfHalf = 0.70710678f, RootOfTwoByPi = 0.79788456f;

    /// <summary>Exporters write these constants with four digits and more.</summary>
    private const float Tolerance = 1e-4f;

    public override string Name => "FuseGelu";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        List<NodeProto> nodes = [];
        List<string> factors = [];
        float constant = 1;
        Factors(context, node, nodes, factors, ref constant);
        if (nodes.Count == 0 || factors.Count != 2 || constant != 0.5f)
            return false;
        foreach ((string gate, string x) in ((string, string)[])[(factors[0], factors[1]), (factors[1], factors[0])])
        {
            // The value x goes elsewhere too: into the gate at least.
            if (context.Graph.Producer(gate) is not NodeProto add || !nodes.Contains(context.Graph.OnlyConsumer(gate)!, ReferenceEqualityComparer.Instance)
                || context.WithScalar(add, "Add") is not (string bent, 1f))
                continue;
            nodes.Add(add);
            bool exact = IsErf(context, add, bent, x, nodes);
            if (exact || IsTanh(context, add, bent, x, nodes))
            {
                context.Replace(nodes, Fused(context, node, x, exact));
                return true;
            }
            nodes.Remove(add);
        }
        return false;
    }

    private static NodeProto Fused(PassContext context, NodeProto node, string x, bool exact)
    {
        if (context.Allows(Since))
        {
            NodeProto gelu = Nodes.Create("Gelu", node.Name, [x], [node.Output[0]]);
            if (!exact)
                gelu.Attribute.Add(Nodes.Attribute("approximate", "tanh"));
            return gelu;
        }
        NodeProto own = Nodes.Create(exact ? "Gelu" : "FastGelu", node.Name, [x], [node.Output[0]]);
        own.Domain = "com.microsoft";
        if (context.Model.OpsetOf(own.Domain) == 0)
            context.Model.Proto.OpsetImport.Add(new OperatorSetIdProto { Domain = own.Domain, Version = 1 });
        return own;
    }

    /// <summary>Takes a product of several factors apart. Divisions by a constant count.</summary>
    private static void Factors(PassContext context, NodeProto node, List<NodeProto> nodes, List<string> factors, ref float constant)
    {
        if (context.Scaled(node) is var (value, factor))
        {
            nodes.Add(node);
            constant *= factor;
            Into(value, ref constant);
            return;
        }
        if (!node.Is("Mul"))
            return;
        nodes.Add(node);
        foreach (string input in node.Input)
            Into(input, ref constant);

        void Into(string input, ref float constant)
        {
            int before = nodes.Count;
            if (nodes.Count < 3 && context.Graph.Producer(input) is NodeProto inner && ReferenceEquals(context.Graph.OnlyConsumer(input), node))
                Factors(context, inner, nodes, factors, ref constant);
            if (nodes.Count == before)
                factors.Add(input);
        }
    }

    private static bool IsErf(PassContext context, NodeProto add, string value, string x, List<NodeProto> nodes)
    {
        if (context.OnlyFor(add, value, "Erf") is not NodeProto erf || context.Graph.Producer(erf.Input[0]) is not NodeProto scale
            || !ReferenceEquals(context.Graph.OnlyConsumer(erf.Input[0]), erf)
            || context.Scaled(scale) is not var (from, factor) || from != x || MathF.Abs(factor - RootOfHalf) > Tolerance)
            return false;
        nodes.AddRange([erf, scale]);
        return true;
    }

    /// <summary>tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), also as sqrt(2 / pi) * x * (1 + 0.044715 x^2).</summary>
    private static bool IsTanh(PassContext context, NodeProto add, string value, string x, List<NodeProto> nodes)
    {
        if (context.OnlyFor(add, value, "Tanh") is not NodeProto tanh || context.Graph.Producer(tanh.Input[0]) is not NodeProto product
            || !ReferenceEquals(context.Graph.OnlyConsumer(tanh.Input[0]), tanh))
            return false;
        List<NodeProto> inner = [];
        List<string> factors = [];
        float constant = 1;
        Factors(context, product, inner, factors, ref constant);
        bool timesX = factors.Count == 2 && factors.Remove(x);
        if (MathF.Abs(constant - RootOfTwoByPi) > Tolerance || factors is not [string sum] || context.Graph.Producer(sum) is not NodeProto plus
            || !plus.Is("Add") || !inner.Contains(context.Graph.OnlyConsumer(sum)!, ReferenceEqualityComparer.Instance))
            return false;
        string? term = !timesX ? PassContext.Other(plus, x) : context.WithScalar(plus, "Add") is (string behindOne, 1f) ? behindOne : null;
        if (term is null || context.Graph.Producer(term) is not NodeProto scaled || !ReferenceEquals(context.Graph.OnlyConsumer(term), plus))
            return false;
        List<NodeProto> powers = [];
        if (Power(context, scaled, x, powers) is not var (exponent, coefficient) || exponent != (timesX ? 2 : 3) || MathF.Abs(coefficient - Cubic) > Tolerance)
            return false;
        nodes.AddRange([tanh, .. inner, plus, .. powers]);
        return true;
    }

    /// <summary>What power of x a node makes, with which coefficient; null when it makes something else.</summary>
    private static (int Exponent, float Coefficient)? Power(PassContext context, NodeProto node, string x, List<NodeProto> nodes)
    {
        nodes.Add(node);
        if (context.WithScalar(node, "Pow") is var (based, exponent))
            return based == x && exponent is 2 or 3 ? ((int)exponent, 1f) : null;
        if (context.Scaled(node) is var (value, factor))
            return Of(value) is var (e, c) ? (e, c * factor) : null;
        if (!node.Is("Mul"))
            return null;
        return Of(node.Input[0]) is var (e1, c1) && Of(node.Input[1]) is var (e2, c2) ? (e1 + e2, c1 * c2) : null;

        (int, float)? Of(string input) => input == x ? (1, 1f)
            : context.Graph.Producer(input) is NodeProto inner && ReferenceEquals(context.Graph.OnlyConsumer(input), node) && nodes.Count < 5
                ? Power(context, inner, x, nodes) : null;
    }
}
