using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>A random convolution: 1 to 3 dimensions, groups, strides, dilations, pads, auto_pad.</summary>
internal sealed class RandomConv
{
    private readonly Draw draw;
    private readonly int groups, perGroup;
    private readonly int[] kernel, dilation;

    public RandomConv(Draw draw, bool oneGroup = false)
    {
        this.draw = draw;
        Spatial = draw.Int(1, 3);
        groups = oneGroup ? 1 : draw.Of(1, 1, 2, 3);
        perGroup = draw.Of(1, 2, 3, 5);
        Outputs = groups * draw.Of(1, 2, 4);
        kernel = Numbers(1, 3);
        string mode = draw.Of("NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER");
        // ONNX Runtime refuses dilations with SAME padding.
        dilation = mode.StartsWith("SAME", StringComparison.Ordinal) ? Numbers(1, 1) : Numbers(1, 2);
        List<AttributeProto> attributes =
            [Nodes.Attribute("group", (long)groups), Nodes.Attribute("strides", Numbers(1, 3)), Nodes.Attribute("dilations", dilation)];
        if (draw.Int(0, 1) == 0)
            attributes.Add(Nodes.Attribute("kernel_shape", kernel));
        if (mode == "NOTSET")
            attributes.Add(Nodes.Attribute("pads", [.. Numbers(0, 2), .. Numbers(0, 2)]));
        else
            attributes.Add(Nodes.Attribute("auto_pad", mode));
        Attributes = [.. attributes];
    }

    public int Spatial { get; }

    public int Outputs { get; }

    public AttributeProto[] Attributes { get; }

    public int[] WeightShape => [Outputs, perGroup, .. kernel];

    public int Depth => perGroup * kernel.Aggregate(1, (a, b) => a * b);

    /// <summary>Room for the window at least.</summary>
    public int[] InputShape() => [draw.Int(1, 2), groups * perGroup,
        .. kernel.Select((k, d) => dilation[d] * (k - 1) + draw.Int(1, Spatial == 3 ? 4 : 8))];

    /// <summary>Some of an accumulator's size, some at the ends of int32, where the sum wraps.</summary>
    public GraphValue Bias() => OneNode.Integers(DataType.Int32, [Outputs],
        [.. Enumerable.Range(0, Outputs).Select(_ => draw.Int(0, 9) == 0 ? draw.Of(int.MinValue, int.MaxValue) : draw.Int(-20000, 20000))]);

    private int[] Numbers(int least, int most) => [.. Enumerable.Range(0, Spatial).Select(_ => draw.Int(least, most))];
}
