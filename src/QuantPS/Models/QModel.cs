using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Models;

/// <summary>A model in ONNX form, as it was imported or made at the prompt.</summary>
public sealed class QModel : IRunnable
{
    internal QModel(OnnxModel onnx)
    {
        Onnx = onnx;
        Inputs = [.. ValueTypes.Infer(onnx).Inputs.Types.Select(t => $"{t.Name} {t.ShapeText}")];
        SizeBytes = onnx.SizeBytes;
    }

    /// <inheritdoc/>
    public string Name => Onnx.Name;

    /// <summary>The file it came from; null when it was made at the prompt.</summary>
    public string? Path => Onnx.Path;

    /// <summary>Names and shapes of what it takes: "image [N, 1, 28, 28]".</summary>
    public string[] Inputs { get; }

    /// <summary>Names of what it gives.</summary>
    public string[] Outputs => [.. Onnx.Proto.Graph.Output.Select(o => o.Name)];

    /// <summary>Number of nodes.</summary>
    public int Nodes => Onnx.Proto.Graph.Node.Count;

    /// <summary>Operators and how often each occurs, the most frequent first: "Conv x 9, Relu x 7, ...".</summary>
    public string Operators => string.Join(", ", Onnx.Proto.Graph.Node.GroupBy(n => n.OpType).OrderByDescending(g => g.Count()).ThenBy(g => g.Key, StringComparer.Ordinal).Select(g => $"{g.Key} x {g.Count()}"));

    /// <summary>Elements of all constants, whether they are initializers or Constant nodes.</summary>
    public long Parameters => Onnx.Proto.Graph.Initializer.Concat(Onnx.Graph.Nodes.Where(n => n.Is("Constant")).Select(n => n.Attribute[0].T).Where(t => t is not null))
        .Sum(t => t.Dims.Aggregate(1L, (a, b) => a * b));

    /// <summary>Version of the standard operator set.</summary>
    public int Opset => Onnx.Opset;

    /// <summary>What the file says about itself: names and values of its metadata_props.</summary>
    public IReadOnlyDictionary<string, string> Metadata =>
        Onnx.Proto.MetadataProps.DistinctBy(p => p.Key).ToDictionary(p => p.Key, p => p.Value, StringComparer.Ordinal);

    /// <summary>Bytes of its ONNX form.</summary>
    public long SizeBytes { get; }

    /// <summary>"QDQ" for a model with QuantizeLinear/DequantizeLinear pairs, "QOperator" for one with integer operators, "float" for any other.</summary>
    public string Arithmetic => Onnx.Proto.Graph.Node.Any(n => n.OpType is "QLinearConv" or "QLinearMatMul" or "QGemm" or "ConvInteger" or "MatMulInteger") ? "QOperator"
        : Onnx.Proto.Graph.Node.Any(n => n.OpType == "DequantizeLinear") ? "QDQ" : "float";

    internal OnnxModel Onnx { get; }

    // A float model has nothing for int8 kernels: both runtimes are ONNX Runtime.
    ModelRunner IRunnable.CreateRunner(ModelRuntime runtime, SessionSettings settings) => runtime == ModelRuntime.QuantPS && ModelPlan.Suits(Onnx)
        ? new IntegerRunner(new ModelPlan(Onnx, settings))
        : new OnnxRuntimeRunner(Onnx, settings, Arithmetic == "float");

    /// <inheritdoc/>
    public override string ToString() => Name;
}
