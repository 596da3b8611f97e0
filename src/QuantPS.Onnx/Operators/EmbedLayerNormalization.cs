using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>ONNX Runtime's sum of word, position and segment embeddings, normalized. The tables, the factor and the offset are stored as integers; what
/// comes out is float, and quantized where a consumer wants it.</summary>
/// <remarks>Source: onnxruntime docs/ContribOperators.md, EmbedLayerNormalization and QEmbedLayerNormalization.</remarks>
public sealed class EmbedLayerNormalization : QuantOperator
{
    // input_ids, segment_ids, word, position and segment embedding, gamma, beta, mask
    private const int Word = 2, Segment = 4, Beta = 6, Mask = 7;

    public override string OpType => "EmbedLayerNormalization";

    public override string Domain => IntegerWriter.Microsoft;

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [];

    public override IReadOnlyList<int> QuantizedOutputs(NodeProto node) => [];

    public override bool IsWorthwhile(NodeContext context) => true;

    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) =>
        [.. Enumerable.Range(Word, Beta - Word + 1).Where(i => GraphIndex.Input(context.Node, i).Length > 0).Select(i => new WeightInput(i, null))];

    public override string? WhyFloat(NodeContext context) => WeightInputs(context)
        .FirstOrDefault(w => context.ConstantInput(w.Index)?.Type() != TensorProto.Types.DataType.Float) is { Index: > 0 } computed
            ? $"its input '{context.Node.Input[computed.Index]}' is not a float32 constant" : null;

    public override bool WriteIntegers(IntegerWriter writer)
    {
        WrittenWeight?[] weights = [.. Enumerable.Range(Word, Beta - Word + 1)
            .Select(i => i == Segment && GraphIndex.Input(writer.Node, i).Length == 0 ? null : writer.Weight(i))];
        return writer.WriteNode("QEmbedLayerNormalization", IntegerWriter.Microsoft,
            [writer.Node.Input[0], GraphIndex.Input(writer.Node, 1), .. Names(0), GraphIndex.Input(writer.Node, Mask), .. Names(1), .. Names(2)],
            [.. writer.Node.Attribute.Where(a => a.Name == "epsilon")]);

        IEnumerable<string> Names(int part) => weights.Select(w => w?.Names[part] ?? "");
    }
}
