using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Slices picked by index. A constant table (an embedding) is quantized for its own sake: it is stored in a quarter of the
/// size.</summary>
public sealed class Gather : DataMovement
{
    public override string OpType => "Gather";

    public override bool IsWorthwhile(NodeContext context) => context.ConstantInput(0) is not null;

    /// <summary>By one constant position, which leaves the dimension out, or by a list of them.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        if (context.Context.ConstantInput(1) is not { Dims.Count: <= 1 } indices)
            return null;
        long[] wanted = indices.ToLongs();
        bool scalar = indices.Dims.Count == 0;
        int dimension = (int)context.Context.Node.GetInt("axis", 0);
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            int axis = TensorShape.NormalizeAxis(dimension, x.Rank), size = x.Dims[axis];
            if (scalar)
            {
                QuantizedTensor one = QuantizedRearrange.Cut(x, axis, (int)(wanted[0] + (wanted[0] < 0 ? size : 0)), 1);
                return one.Reshape([.. one.Shape[..axis], .. one.Shape[(axis + 1)..]]);
            }
            var positions = new int[]?[x.Rank];
            positions[axis] = Array.ConvertAll(wanted, i => (int)(i + (i < 0 ? size : 0)));
            return QuantizedRearrange.Pick(x, positions);
        };
    }
}
