using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators.Integer;

/// <summary>DynamicQuantizeLinear against ONNX Runtime's: integers, scale and zero point.</summary>
public class DynamicQuantizeLinearTests
{
    [Fact]
    public void Random()
    {
        Draw draw = new(1);
        using OneNode node = new("DynamicQuantizeLinear", [(DataType.Float, 2)], [DataType.Uint8, DataType.Float, DataType.Uint8]);
        for (int i = 0; i < 1000; i++)
        {
            // Also ranges on one side of 0, and such that half-way zero points come up.
            float low = draw.Of(-1f, 0, -0.5f, 3, -127.5f, -63.75f),
                high = draw.Of(1f, 0, 2, 127.5f, 191.25f) + (draw.Int(0, 1) == 0 ? 0 : draw.Scale());
            int count = draw.Int(2, 70);
            float[] values = [low, high, .. Enumerable.Range(2, count).Select(_ => low + (high - low) * (float)draw.Random.NextDouble())];
            node.Compare(OneNode.Floats([1, values.Length], values));
        }
    }

    [Fact]
    public void Extremes()
    {
        using OneNode node = new("DynamicQuantizeLinear", [(DataType.Float, 1)], [DataType.Uint8, DataType.Float, DataType.Uint8]);
        float[][] cases = [[0], [0, 0, -0f], [1e-40f], [-1e-40f, 1e-40f], [float.MaxValue], [float.MinValue], [5], [-5], [1e-30f, 1e30f]];
        Assert.All(cases, c => node.Compare(OneNode.Floats([c.Length], c)));
    }
}
