using QuantPS.Engine.Tensors;

namespace QuantPS.Abstractions;

/// <summary>Takes float tensors from the pipeline.</summary>
public abstract class TensorInputCmdlet : PipelineCmdlet<Tensor>;
