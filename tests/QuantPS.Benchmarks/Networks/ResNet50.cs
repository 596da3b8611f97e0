using QuantPS.Onnx.Model;

namespace QuantPS.Benchmarks.Networks;

/// <summary>ResNet-50 with random weights: 53 convolutions and a linear layer, 25.6 million weights, 4.1 GMAC an image of 224 x 224.</summary>
/// <remarks>He et al., "Deep Residual Learning for Image Recognition" (2015), table 1, with the stride in the 3x3 convolution as torchvision
/// has it.</remarks>
internal static class ResNet50
{
    /// <summary>Blocks and inner channels of each stage; a block gives four times as many.</summary>
    private static readonly (int Blocks, int Channels)[] Stages = [(3, 64), (4, 128), (6, 256), (3, 512)];

    /// <param name="seed">Of the weights.</param>
    /// <returns>Input "input" [N, 3, 224, 224], output "output" [N, 1000].</returns>
    public static OnnxModel Create(int seed)
    {
        NetworkBuilder net = new("resnet50", seed);
        Value x = net.Relu(net.ConvBatchNorm(net.Input, "conv1", 64, 7, 2), "relu");
        x = net.MaxPool(x, "maxpool");
        for (int stage = 0; stage < Stages.Length; stage++)
        {
            for (int block = 0; block < Stages[stage].Blocks; block++)
                x = Bottleneck(net, x, $"layer{stage + 1}.{block}", Stages[stage].Channels, stage > 0 && block == 0 ? 2 : 1);
        }
        return net.Classify(x, "fc");
    }

    private static Value Bottleneck(NetworkBuilder net, Value x, string name, int channels, int stride)
    {
        Value y = net.Relu(net.ConvBatchNorm(x, name + ".conv1", channels, 1), name + ".relu1");
        y = net.Relu(net.ConvBatchNorm(y, name + ".conv2", channels, 3, stride), name + ".relu2");
        // A smaller factor at a branch's end keeps the sum over many blocks from growing, as training does.
        y = net.ConvBatchNorm(y, name + ".conv3", 4 * channels, 1, gain: 0.5);
        Value shortcut = x.Channels == y.Channels ? x : net.ConvBatchNorm(x, name + ".downsample", 4 * channels, 1, stride);
        return net.Relu(net.Add(y, shortcut, name + ".add"), name + ".relu3");
    }
}
