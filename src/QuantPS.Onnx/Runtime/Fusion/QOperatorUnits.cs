using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>Finds layers in QOperator form: an operator on integers by itself.</summary>
internal sealed class QOperatorUnits(UnitValues values)
{
    /// <summary>The layer that a node is; null when it is none of which we have a kernel.</summary>
    public IntegerUnit? Find(NodeProto node) =>
        QLinearForm.Find(node).ToArray() is { Length: > 0 } forms ? forms.Select(f => Find(node, f)).FirstOrDefault(u => u is not null) : FindMovement(node);

    private IntegerUnit? Find(NodeProto node, QLinearForm form)
    {
        if (node.GetInt("channels_last", 0) != 0)
            return null;
        int[] starts = form.Activations.Length > 0 ? form.Activations : [.. Enumerable.Range(0, (node.Input.Count - 2) / 3).Select(i => 2 + 3 * i)];
        var inputs = new (string Name, QParams QParams)[starts.Length];
        for (int i = 0; i < inputs.Length; i++)
        {
            string name = GraphIndex.Input(node, starts[i]);
            if (values.Parameters(UnitValues.EightBit(values.TypeOf(name)), GraphIndex.Input(node, starts[i] + 1), GraphIndex.Input(node, starts[i] + 2)) is not QParams p)
                return null;
            inputs[i] = (name, p);
        }
        if (values.Parameters(UnitValues.EightBit(values.TypeOf(node.Output[0])), GraphIndex.Input(node, form.Output), GraphIndex.Input(node, form.Output + 1)) is not QParams output)
            return null;
        // The node that a float graph would have; a constant has a name of its own there.
        const string WeightName = "weight, dequantized", BiasName = "bias, dequantized";
        NodeProto real = Nodes.Create(form.FloatOpType, node.Name, inputs.Select(i => i.Name), node.Output, [.. node.Attribute]);
        Dictionary<string, TensorProto> constants = new(StringComparer.Ordinal);
        NodeContext context = new(values.Graph, real, values.Types) { Dequantized = constants.GetValueOrDefault };
        QuantizedTensor? weight = null;
        LayerBias bias = default;
        if (form.Weight >= 0)
        {
            real.Input.Add(WeightName);
            string integers = GraphIndex.Input(node, form.Weight);
            // Weights of matrices are [in, out] unless the node says otherwise; those of convolutions have the outputs first.
            bool transposed = form.FloatOpType != "Conv" && real.GetInt("transB", 0) == 0;
            weight = values.Weight(integers, GraphIndex.Input(node, form.Weight + 1), GraphIndex.Input(node, form.Weight + 2), transposed ? 1 : 0);
            if (weight is null || (transposed && weight.Rank != 2))
                return null;
            constants[WeightName] = TensorProtos.Shaped(WeightName, weight.Shape);
            weight = transposed ? MatrixWeight.Transposed(weight) : weight;
            if (form.Bias >= 0 && GraphIndex.Input(node, form.Bias) is { Length: > 0 } biasName)
            {
                if (values.Integers32(biasName) is not { } steps || steps.Length != weight.Dims[0])
                    return null;
                real.Input.Add(BiasName);
                constants[BiasName] = TensorProtos.Create(BiasName, Array.ConvertAll(steps, s => (float)s), [steps.Length]);
                bias = new LayerBias(null, steps);
            }
        }
        QuantOperator? op = OperatorRegistry.Find(real).FirstOrDefault(o => o is WeightOperator == form.Weight >= 0 && o.WhyFloat(context) is null);
        return op is null ? null : new IntegerUnit
        {
            Context = context,
            Operator = op,
            Nodes = [node],
            Inputs = inputs,
            Output = (node.Output[0], output),
            Weight = weight,
            Bias = bias,
        };
    }

    /// <summary>A pool, a Reshape, a Clip straight on integers, whatever these mean.</summary>
    private IntegerUnit? FindMovement(NodeProto node)
    {
        string input = GraphIndex.Input(node, 0);
        if (UnitValues.EightBit(values.TypeOf(input)) is not QDType dtype || node.Output.Count(o => o.Length > 0) != 1)
            return null;
        NodeContext context = new(values.Graph, node, values.Types);
        QuantOperator? op = OperatorRegistry.Find(node).FirstOrDefault(o => (o is DataMovement || o.RangeOf(values.Graph, node) is not null)
            && o.ActivationInputs(node) is [0] && o.WhyFloat(context) is null);
        QParams p = new(1f, 0, dtype);
        return op is null ? null : new IntegerUnit { Context = context, Operator = op, Nodes = [node], Inputs = [(input, p)], Output = (node.Output[0], p) };
    }
}
