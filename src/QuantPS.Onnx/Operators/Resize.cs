using QuantPS.Engine.Layers;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Images in another size by nearest neighbours, which share the input's parameters, or by cubic interpolation, which may overshoot and has its own. Linear interpolation is
/// <see cref="LinearResize"/>.</summary>
public sealed class Resize : DataMovement
{
    public override string OpType => "Resize";

    /// <summary>Between elements there may be others.</summary>
    public override bool OnlyMoves => false;

    public override bool SharesInputQParams(NodeContext context) => Mode(context) == "nearest";

    /// <summary>Nearest neighbours: copies. Other modes compute.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        NearestResize? resize = Mode(context.Context) == "nearest" ? NearestResize.Of(context.Context) : null;
        return resize is null ? null : (inputs, spent) => QuantizedRearrange.Pick(inputs[0], resize.Positions(inputs[0].Dims));
    }

    /// <summary>On integers ONNX Runtime cuts the fraction off what it interpolates, so only copies are left to it.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => Mode(writer.Context) == "nearest" && writer.WriteSame();

    private static string Mode(NodeContext context) => context.Node.GetString("mode", "nearest");
}
