using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace QuantPS.Onnx.Passes;

/// <summary>Computes once what only depends on constants, by ONNX Runtime, and keeps the results as initializers.</summary>
/// <remarks>Not computed: what is random, what has bodies, operators of extensions; QuantizeLinear and DequantizeLinear, whose integers are meant to
/// stay; results that would make the file much larger.</remarks>
public sealed class FoldConstants : GraphPass
{
    /// <summary>Results up to this many bytes are always kept; larger ones when they are not larger than what they are made of.</summary>
    private const long SmallResult = 1 << 20;

    private static readonly HashSet<string> Excluded =
    [
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
        "Bernoulli", "Multinomial",
    ];

    public override string Name => "FoldConstants";

    public override bool TellsTypes => true;

    public override int Apply(PassContext context)
    {
        GraphIndex graph = context.Graph;
        HashSet<string> computable = [];
        List<NodeProto> nodes = [];
        foreach (NodeProto node in graph.Nodes)
        {
            if (!IsConstant(node.Output[0]) && CanCompute(node))
            {
                nodes.Add(node);
                computable.UnionWith(node.Output);
            }
        }
        HashSet<NodeProto> own = new(nodes, ReferenceEqualityComparer.Instance);
        NodeProto[] wanted = [.. nodes.Where(n => n.Output.Any(IsNeeded))];
        if (wanted.Length == 0)
            return 0;
        Dictionary<string, TensorProto> results = Compute(context, nodes, [.. wanted.SelectMany(n => n.Output).Where(IsNeeded)]);
        int folded = 0;
        foreach (NodeProto node in wanted.Where(n => n.Output.Where(IsNeeded).All(results.ContainsKey)))
        {
            string[] inputs = [.. node.Input];
            TensorProto[] constants = [.. node.Output.Where(IsNeeded).Select(o => results[o])];
            context.Model.Proto.Graph.Node.Remove(node);
            foreach (TensorProto t in constants)
                context.Add(t);
            context.RemoveUnused(inputs);
            foreach (string input in inputs)
                context.RemoveDead(input);
            folded++;
        }
        return folded;

        bool IsConstant(string value) => value.Length == 0 || graph.Constant(value) is not null;

        bool CanCompute(NodeProto node) => OnnxModel.NormalizeDomain(node.Domain).Length == 0 && !Excluded.Contains(node.OpType)
            && (node.Input.Any(i => i.Length > 0) || node.OpType == "Constant") && !TensorWalk.BodiesOf(node).Any()
            && node.Input.All(i => IsConstant(i) || computable.Contains(i)) && !node.Output.Any(graph.IsOutput);

        bool IsNeeded(string value) => value.Length > 0 && graph.Consumers(value).Any(c => !own.Contains(c));
    }

    private static Dictionary<string, TensorProto> Compute(PassContext context, List<NodeProto> nodes, string[] wanted)
    {
        GraphIndex graph = context.Graph;
        ModelProto proto = new()
        {
            IrVersion = Math.Max(context.Model.Proto.IrVersion, OnnxModel.FirstIrWithFreeInitializers),
            Graph = new GraphProto { Name = "constants" },
        };
        proto.OpsetImport.AddRange(context.Model.Proto.OpsetImport);
        proto.Graph.Node.AddRange(nodes);
        foreach (string name in nodes.SelectMany(n => n.Input).Distinct().Where(i => graph.Constant(i) is not null))
        {
            TensorProto t = graph.Constant(name)!.Clone();
            t.Name = name;
            proto.Graph.Initializer.Add(t);
        }
        proto.Graph.Output.AddRange(wanted.Select(w => new ValueInfoProto { Name = w }));
        long most = Math.Max(SmallResult, proto.Graph.Initializer.Sum(t => t.ByteCount() ?? 0));
        Dictionary<string, TensorProto> results = new(StringComparer.Ordinal);
        try
        {
            using OnnxRuntimeSession session = new(OnnxModel.FromProto(proto, $"{context.Model.Name}, constants"),
                settings: new SessionSettings { IntraOpThreads = 1, Optimize = false });
            using IDisposableReadOnlyCollection<OrtValue> values = session.RunValues([], [], wanted);
            foreach ((string name, OrtValue value) in wanted.Zip(values))
            {
                if (ToTensor(name, value) is TensorProto t && t.RawData.Length <= most)
                    results[name] = t;
            }
        }
        catch (QuantException)
        {
            // What is wrong with such a node, the model's own session tells better.
        }
        return results;
    }

    /// <summary>Null for what is no tensor of numbers.</summary>
    private static TensorProto? ToTensor(string name, OrtValue value)
    {
        if (!value.IsTensor)
            return null;
        OrtTensorTypeAndShapeInfo info = value.GetTensorTypeAndShape();
        return info.ElementDataType is TensorElementType.String or TensorElementType.DataTypeMax ? null
            : TensorProtos.Create(name, (DataType)(int)info.ElementDataType, value.GetTensorMutableRawData(), OnnxRuntimeSession.ShapeOf(value));
    }
}
