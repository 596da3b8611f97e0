using QuantPS.Onnx.Model;

namespace QuantPS.Benchmarks.Networks;

/// <summary>MobileNetV2 1.0 with random weights: 52 convolutions, 17 of them depthwise, and a linear layer; 3.5 million weights, 0.3 GMAC an
/// image of 224 x 224.</summary>
/// <remarks>Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2.</remarks>
internal static class MobileNetV2
{
    /// <summary>Expansion, output channels, blocks, stride of the first block.</summary>
    private static readonly (int Expansion, int Channels, int Blocks, int Stride)[] Stages =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

    /// <param name="seed">Of the weights.</param>
    /// <returns>Input "input" [N, 3, 224, 224], output "output" [N, 1000].</returns>
    public static OnnxModel Create(int seed)
    {
        NetworkBuilder net = new("mobilenetv2", seed);
        Value x = net.Relu6(net.ConvBatchNorm(net.Input, "features.0", 32, 3, 2), "features.0.relu6");
        int index = 1;
        foreach ((int expansion, int channels, int blocks, int stride) in Stages)
        {
            for (int block = 0; block < blocks; block++)
                x = InvertedResidual(net, x, $"features.{index++}", expansion, channels, block == 0 ? stride : 1);
        }
        x = net.Relu6(net.ConvBatchNorm(x, $"features.{index}", 1280, 1), $"features.{index}.relu6");
        return net.Classify(x, "classifier");
    }

    private static Value InvertedResidual(NetworkBuilder net, Value x, string name, int expansion, int outputs, int stride)
    {
        int inner = x.Channels * expansion;
        Value y = expansion == 1 ? x : net.Relu6(net.ConvBatchNorm(x, name + ".expand", inner, 1), name + ".expand.relu6");
        y = net.Relu6(net.ConvBatchNorm(y, name + ".depthwise", inner, 3, stride, groups: inner), name + ".depthwise.relu6");
        y = net.ConvBatchNorm(y, name + ".project", outputs, 1);
        return stride == 1 && x.Channels == outputs ? net.Add(y, x, name + ".add") : y;
    }
}
