using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Mean of each window. As in PyTorch, the result keeps the input's scale and zero point.</summary>
public sealed class AveragePool : QuantOperator
{
    public override string OpType => "AveragePool";

    public override bool SharesInputQParams(NodeContext context) => true;

    /// <summary>By PyTorch's engines with the formula of tensors that a convolution made, whose channels lie side by side. Their pools give the input's parameters and QNNPACK's divides by
    /// the whole window whatever the node says: what does not fit that is not theirs.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        if (context.Inputs[0].DType != context.Output.DType || (node.GetInts("dilations") ?? []).Any(d => d != 1)
            || Window.Of(node, node.GetInts("kernel_shape")!, context.Context.Types[node.Input[0]], out _) is not { Kernel.Length: <= 3 } w)
            return null;
        bool countsPad = node.GetInt("count_include_pad", 0) != 0;
        if (!context.OnnxRule && (!context.Inputs[0].IsSameAs(context.Output)
            || (context.Engine == EngineKind.Qnnpack && !countsPad && w.PadBegin.Concat(w.PadEnd).Any(p => p != 0))))
            return null;
        QuantizedAveragePool pool = new(new PoolGeometry(w.Kernel, w.Stride, w.PadBegin, null, node.GetInt("ceil_mode", 0) != 0, w.PadEnd),
            countsPad, engine: context.Engine, output: context.OnnxRule ? context.Output : null);
        return (inputs, spent) => pool.Run(inputs[0]);
    }

    /// <summary>QLinearAveragePool knows no dilation, and its automatic padding is not the standard's.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => writer.Node.GetString("auto_pad", "NOTSET") is "NOTSET" or "VALID"
        && (writer.Node.GetInts("dilations") ?? []).All(d => d == 1)
        && writer.Write("QLinearAveragePool", IntegerWriter.Microsoft, [.. writer.Input(0), .. writer.OutputParameters],
            [.. writer.Node.Attribute.Where(a => a.Name != "dilations"), Nodes.Attribute("channels_last", 0L)]);
}
