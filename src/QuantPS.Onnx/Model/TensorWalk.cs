using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Model;

/// <summary>Every tensor of a model, wherever the format lets one be: initializers, attributes, sparse tensors; also in the bodies of If, Loop
/// and Scan, and in functions.</summary>
internal static class TensorWalk
{
    public static IEnumerable<TensorProto> TensorsOf(ModelProto model) =>
        (model.Graph is null ? [] : TensorsOf(model.Graph))
            .Concat(model.Functions.SelectMany(f => f.Node).SelectMany(TensorsOf))
            .Concat(model.TrainingInfo.SelectMany(t => new[] { t.Initialization, t.Algorithm }).Where(g => g is not null).SelectMany(TensorsOf));

    /// <summary>The graph and every graph inside it.</summary>
    public static IEnumerable<GraphProto> GraphsOf(GraphProto graph) =>
        graph.Node.SelectMany(BodiesOf).SelectMany(GraphsOf).Prepend(graph);

    /// <summary>The graphs in a node's attributes.</summary>
    public static IEnumerable<GraphProto> BodiesOf(NodeProto node) =>
        node.Attribute.SelectMany(a => a.G is null ? a.Graphs : a.Graphs.Prepend(a.G));

    private static IEnumerable<TensorProto> TensorsOf(GraphProto graph) =>
        graph.Initializer.Concat(graph.SparseInitializer.SelectMany(TensorsOf)).Concat(graph.Node.SelectMany(TensorsOf));

    private static IEnumerable<TensorProto> TensorsOf(NodeProto node) => node.Attribute.SelectMany(a =>
        (a.T is null ? a.Tensors : a.Tensors.Prepend(a.T))
            .Concat((a.SparseTensor is null ? a.SparseTensors : a.SparseTensors.Prepend(a.SparseTensor)).SelectMany(TensorsOf))
            .Concat((a.G is null ? a.Graphs : a.Graphs.Prepend(a.G)).SelectMany(TensorsOf)));

    private static IEnumerable<TensorProto> TensorsOf(SparseTensorProto sparse) =>
        new[] { sparse.Values, sparse.Indices }.Where(t => t is not null);
}
