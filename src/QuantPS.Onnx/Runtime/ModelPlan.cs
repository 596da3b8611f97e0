using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime;

/// <summary>A model as it came from a file, made ready to run: ONNX's integer operators (QDQ and QOperator form) by this module's engine, runs of all
/// other nodes by ONNX Runtime.</summary>
/// <remarks>Every node is run as the standard defines it, one after the other. ONNX Runtime instead fuses DequantizeLinear, Conv, QuantizeLinear into a
/// QLinearConv; the results may then differ by one step. Integer nodes over constants are computed once, when the plan is made. Runs from
/// any thread.</remarks>
public sealed class ModelPlan : IDisposable
{
    private readonly OnnxModel model;
    private readonly StepSequence steps;
    private readonly Dictionary<string, GraphValue> constants = new(StringComparer.Ordinal);

    /// <param name="model">The model. It must not be changed afterwards.</param>
    /// <param name="settings">How to run the parts for ONNX Runtime.</param>
    /// <exception cref="QuantException">InvalidModel, UnsupportedOperator, ShapeMismatch (among constants).</exception>
    public ModelPlan(OnnxModel model, SessionSettings? settings = null)
    {
        this.model = model;
        ValueTypes types = ValueTypes.Infer(model);
        Inputs = types.Inputs;
        steps = new StepSequence(Schedule(types, settings), model.Graph.Outputs.Select(o => o.Name));
        // The steps have the other constants that they need.
        foreach (string name in constants.Keys.Concat(model.Graph.Outputs.Select(o => o.Name)).ToArray())
        {
            if (!model.Graph.IsOutput(name))
                constants.Remove(name);
            else
                ConstantOf(name);
        }
    }

    /// <summary>What the model takes.</summary>
    public ModelInputs Inputs { get; }

    /// <summary>How many runs of nodes there are on ONNX Runtime.</summary>
    public int FloatIslandCount => steps.FloatIslandCount;

    /// <summary>Nodes that this module's engine runs, constant ones included.</summary>
    public int IntegerNodeCount { get; private set; }

    /// <summary>True when the model has nodes that this plan may run itself; otherwise it would hand everything to ONNX Runtime.</summary>
    public static bool Suits(OnnxModel model) => model.Graph.Nodes.Any(n => IntegerOperatorRegistry.Find(n) is not null);

    /// <summary>Runs a model with a single input; a sample (one dimension less) becomes a batch of one.</summary>
    public IReadOnlyDictionary<string, object> Run(Tensor input) => Run(Inputs.Named(input));

    /// <summary>Runs the model.</summary>
    /// <param name="inputs">A tensor for every input. For an input of integers it holds integers of that type.</param>
    /// <returns>Under each output's name a Tensor, or a QuantizedTensor for integers of up to 32 bits, see <see cref="OutputValues"/>.</returns>
    /// <exception cref="QuantException">ShapeMismatch, InvalidArgument, UnsupportedDType, InferenceFailed.</exception>
    public IReadOnlyDictionary<string, object> Run(IReadOnlyDictionary<string, Tensor> inputs)
    {
        Inputs.Check(inputs);
        string? source = inputs.Values.FirstOrDefault()?.Source;
        Dictionary<string, GraphValue> given = Inputs.Types.ToDictionary(t => t.Name, t => InputValues.Create(inputs[t.Name], t));
        return RunValues(given, values => model.Graph.Outputs.ToDictionary(o => o.Name,
            o => OutputValues.ToObject(values(o.Name), model, o.Name, source)));
    }

    public void Dispose() => steps.Dispose();

    /// <summary>Runs on values of any type; they are disposed, as are the outputs once <paramref name="use"/> is done with them.</summary>
    internal TResult RunValues<TResult>(Dictionary<string, GraphValue> values, Func<Func<string, GraphValue>, TResult> use)
    {
        try
        {
            steps.Run(values);
            return use(name => values.GetValueOrDefault(name) ?? constants[name]);
        }
        finally
        {
            foreach (GraphValue value in values.Values)
                value.Dispose();
        }
    }

    private List<PlanStep> Schedule(ValueTypes types, SessionSettings? settings)
    {
        GraphIndex index = model.Graph;
        Dictionary<NodeProto, IntegerStep> ours = new(ReferenceEqualityComparer.Instance);
        List<NodeProto> nodes = [];
        foreach (NodeProto node in index.Nodes)
        {
            if (node.Output.Any(o => o.Length > 0 && index.Constant(o) is not null))
                continue;
            IntegerNode described = new(model, types, node);
            if (IntegerOperatorRegistry.Find(node) is { } found && found.Claims(described))
            {
                IntegerNodeCount++;
                IntegerStep step = new(node, found.Plan(described), ConstantOf);
                if (step.Inputs.Count == 0)
                {
                    step.Run(constants);
                    continue;
                }
                ours[node] = step;
            }
            nodes.Add(node);
        }

        List<PlanStep> result = [];
        foreach ((bool isOurs, List<NodeProto> group) in Scheduler.Group(nodes, index.Inputs.Select(i => i.Name), ours.ContainsKey,
            n => GraphIndex.InputsOf(n).Where(v => !IsConstant(v)), n => n.Output))
        {
            if (isOurs)
            {
                result.AddRange(group.Select(n => ours[n]));
                continue;
            }
            HashSet<NodeProto> own = new(group, ReferenceEqualityComparer.Instance);
            result.Add(new FloatIsland(model, types, group, v => index.IsOutput(v) || index.Consumers(v).Any(c => !own.Contains(c)),
                ProtoOf, settings));
        }
        return result;
    }

    private bool IsConstant(string value) =>
        constants.ContainsKey(value) || model.Graph.Constant(value) is not null || model.Graph.SparseConstant(value) is not null;

    /// <summary>A constant for our nodes: computed beforehand, or one of the model's of a type that they take.</summary>
    private GraphValue? ConstantOf(string name)
    {
        if (constants.TryGetValue(name, out GraphValue? value))
            return value;
        if (model.Graph.Constant(name) is not TensorProto proto)
            return null;
        return constants[name] = proto.Type() == DataType.Float ? new GraphValue(proto.ToTensor())
            : IntegerTensor.Holds(proto.Type()) ? new GraphValue(IntegerTensor.FromProto(proto))
            : throw new QuantException(ErrorIds.UnsupportedDType,
                $"The constant '{name}' of '{model.Name}' is {proto.Type()}, which cannot be an output here.", name);
    }

    private TensorProto? ProtoOf(string name) => model.Graph.Constant(name)
        ?? (constants.TryGetValue(name, out GraphValue? value) ? value.Typed?.ToProto(name) ?? TensorProtos.Create(name, value.Real()) : null);
}
