namespace QuantPS.Engine.Kernels;

/// <summary>What a convolution's outputs are added to as they are made, while they are in the cache: the other branch of a residual block.</summary>
/// <param name="Other">As many bytes as the convolution gives, in the kernel's layout.</param>
/// <param name="Rule">The sum; its first operand is the convolution's output.</param>
public readonly record struct ConvResidual(ReadOnlyMemory<byte> Other, BinaryRule Rule);
