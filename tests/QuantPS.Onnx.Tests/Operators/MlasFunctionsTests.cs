using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Tests.Operators;

/// <summary>The functions of tables are ONNX Runtime's, every bit of 200,000 values, at their limits too.</summary>
public class MlasFunctionsTests
{
    [Theory]
    [InlineData("Sigmoid")]
    [InlineData("Tanh")]
    [InlineData("Swish")]
    public void EqualOnnxRuntimes(string name)
    {
        Assert.SkipUnless(Fma.IsSupported || AdvSimd.Arm64.IsSupported, "ONNX Runtime has fused products only where the processor has them.");
        Func<float, float> function = name switch { "Sigmoid" => MlasFunctions.Logistic, "Tanh" => MlasFunctions.Tanh, _ => x => x * MlasFunctions.Logistic(x) };
        OnnxModel model = TestModels.Graph(["N"], name == "Swish" ? [Nodes.Create("Sigmoid", "s", ["x"], ["t"]), Nodes.Create("Mul", "m", ["x", "t"], ["y"])] : [Nodes.Create(name, "f", ["x"], ["y"])], [], ["y"]);
        Random random = new(91);
        float[] x = [.. Enumerable.Range(0, 200_000).Select(i => (float)((random.NextDouble() * 2 - 1) * (i % 4) switch { 0 => 30, 1 => 10, 2 => 1, _ => 0.01 })), 0, -0f, 18, -18, 9, -9, 1e30f, -1e30f, float.PositiveInfinity, float.NegativeInfinity];
        using OnnxRuntimeSession session = new(model);
        float[] expected = session.Run(new Tensor([x.Length], x))["y"].ToArray();
        for (int i = 0; i < x.Length; i++)
            Assert.True(BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(function(x[i])), $"{name}({x[i]:R}) is {function(x[i]):R}, in ONNX Runtime {expected[i]:R}");
    }
}
