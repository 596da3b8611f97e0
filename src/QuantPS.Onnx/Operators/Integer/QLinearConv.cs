using System.Buffers;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>x, x scale, x zero point, w, w scale, w zero point, y scale, y zero point, bias -> y. 8 bits each, weights per tensor or per
/// output channel, the int32 bias in steps of x scale * w scale.</summary>
/// <remarks>Source: onnx docs/Operators.md, QLinearConv; the formula is <see cref="OnnxRuntimeRequantizer"/>'s. ONNX Runtime wants one zero
/// point for all output channels; the standard allows one each, and so do we.</remarks>
internal sealed class QLinearConv : IntegerOperator
{
    private const int X = 0, XScale = 1, XZero = 2, W = 3, WScale = 4, WZero = 5, YScale = 6, YZero = 7, Bias = 8;

    public override string OpType => "QLinearConv";

    public override (int Scale, int ZeroPoint)? OutputParameters => (YScale, YZero);

    public override bool Claims(IntegerNode node) => IsEightBit(node.TypeOf(X)) && IsEightBit(node.TypeOf(W)) && IsEightBit(node.OutputType(0))
        && ConvShape.Fits(node, W);

    public override IntegerKernel Plan(IntegerNode node)
    {
        Memo<ConvKernel> memo = new();
        DataType type = node.OutputType(0);
        return inputs =>
        {
            IntegerTensor x = inputs[X]!.Typed!, w = inputs[W]!.Typed!;
            ConvGeometry geometry = ConvShape.GeometryOf(node, x.Shape, w.Shape);
            ConvShape.Check(node, inputs[X]!, x.Shape, w.Shape, geometry);
            IntegerTensor y = IntegerTensor.Allocate(type, [x.Shape[0], w.Shape[0], .. geometry.OutputSize(x.Shape.AsSpan(2))]);
            ConvKernel kernel = memo.Get([.. inputs.Skip(1)], [.. geometry.PadBegin, .. geometry.PadEnd], () => Pack(inputs, geometry, y.Range));
            if (y.Length > 0)
                Run(kernel, x, y);
            return [new GraphValue(y)];
        };
    }

    /// <summary>The graph's tensors are row-major, whatever the kernel's layout.</summary>
    private static void Run(ConvKernel kernel, IntegerTensor x, IntegerTensor y)
    {
        int batch = x.Shape[0];
        int[] spatial = x.Shape[2..];
        if (kernel.Layout == KernelLayout.Contiguous)
        {
            kernel.Run(x.Memory, batch, spatial, y.Memory);
            return;
        }
        byte[] input = ArrayPool<byte>.Shared.Rent(x.Length), output = ArrayPool<byte>.Shared.Rent(y.Length);
        LayoutConversion.ToChannelsLast(x.Memory, input, batch, x.Shape[1], TensorShape.Count(spatial));
        kernel.Run(input.AsMemory(0, x.Length), batch, spatial, output.AsMemory(0, y.Length));
        LayoutConversion.ToContiguous(output, y.Memory, batch, y.Shape[1], TensorShape.Count(y.Shape.AsSpan(2)));
        ArrayPool<byte>.Shared.Return(input);
        ArrayPool<byte>.Shared.Return(output);
    }

    private static ConvKernel Pack(IReadOnlyList<GraphValue?> inputs, ConvGeometry geometry, (int Min, int Max) range)
    {
        IntegerTensor w = inputs[W]!.Typed!;
        int channels = w.Shape[0];
        bool signedInput = inputs[X]!.Typed!.Type == DataType.Int8;
        EightBitWeight weight = new(w);
        return KernelSelector.Select(new ConvProblem
        {
            Weight = weight.Signed,
            WeightZeroPoints = [.. ConvShape.PerChannel(inputs[WZero]?.Typed, channels).Select(z => z + weight.Shift)],
            OutputChannels = channels,
            ChannelsPerGroup = w.Shape[1],
            Geometry = geometry,
            InputZeroPoint = inputs[XZero]!.Typed![0] + (signedInput ? 128 : 0),
            InputFlip = signedInput ? (byte)0x80 : (byte)0,
            Requantizer = new OnnxRuntimeRequantizer(new RequantizationSpec
            {
                InputScale = inputs[XScale]!.Real().Span[0],
                WeightScales = inputs[WScale]!.Real().ToArray(),
                PerChannelWeight = inputs[WScale]!.Real().Length > 1,
                Bias = null,
                IntegerBias = inputs.ElementAtOrDefault(Bias)?.Typed!.ToInts(),
                OutputChannels = channels,
                OutputScale = inputs[YScale]!.Real().Span[0],
                OutputZeroPoint = inputs[YZero]!.Typed![0],
                OutputMin = range.Min,
                OutputMax = range.Max,
            }),
        });
    }
}
