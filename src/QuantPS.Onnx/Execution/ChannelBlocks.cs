using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Execution;

/// <summary>The blocks of channels that ONNX Runtime computes convolutions on: of a shape [N, C, H, W] the elements come as [N, C / block, H, W, block].</summary>
/// <remarks>How many channels a block has depends on the CPU, and ONNX Runtime does not say: it is asked to reorder channels that are known.
/// Source: onnxruntime/core/mlas/lib/reorder.cpp, platform.cpp.</remarks>
internal static class ChannelBlocks
{
    public const string Domain = "com.microsoft.nchwc";

    private const int Channels = 64;

    private static readonly Lazy<int> Measured = new(Measure);

    /// <summary>Channels of a block; 0 where ONNX Runtime has none on this CPU.</summary>
    public static int Size => Measured.Value;

    private static int Measure()
    {
        Tensor x = new(1, Channels, 1, 2);
        for (int i = 0; i < x.Length; i++)
            x.Span[i] = i;
        NodeProto reorder = Nodes.Create("ReorderInput", "reorder", ["x"], ["y"]);
        reorder.Domain = Domain;
        ModelProto model = new() { IrVersion = 8, Graph = new GraphProto { Name = "blocks", Node = { reorder }, Input = { TypeOf("x") }, Output = { TypeOf("y") } } };
        model.OpsetImport.Add(new OperatorSetIdProto { Version = 17 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = Domain, Version = 1 });
        try
        {
            using OnnxRuntimeSession session = new(OnnxModel.FromProto(model, "blocks"), settings: new() { IntraOpThreads = 1, Optimize = false });
            // The second pixel of the first channel comes behind the first pixel of all channels of its block.
            return session.Run(x)["y"].Span.IndexOf(1f);
        }
        catch (QuantException)
        {
            return 0;
        }

        static ValueInfoProto TypeOf(string name)
        {
            TensorShapeProto shape = new();
            shape.Dim.AddRange(new[] { 1, Channels, 1, 2 }.Select(d => new TensorShapeProto.Types.Dimension { DimValue = d }));
            return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)DataType.Float, Shape = shape } } };
        }
    }
}
