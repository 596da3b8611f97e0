using QuantPS.Onnx.Execution;

namespace QuantPS.Models;

/// <summary>What runs a model.</summary>
public enum ModelRuntime
{
    /// <summary>This module's int8 kernels, also for models that came with integer operators; float islands on ONNX Runtime. A float model has no int8
    /// layers and runs on ONNX Runtime.</summary>
    QuantPS,

    /// <summary>ONNX Runtime: a quantized model runs in its QDQ form.</summary>
    OnnxRuntime,
}

/// <summary>A float or quantized model that tensors can be put through.</summary>
public interface IModel
{
    /// <summary>For messages and views.</summary>
    string Name { get; }
}

/// <summary>How the module sees a model inside: what can be run. Not for users.</summary>
internal interface IRunnable : IModel
{
    /// <summary>Makes a runner; the caller disposes it. Cancelled, it stops within a run.</summary>
    ModelRunner CreateRunner(ModelRuntime runtime, SessionSettings settings);
}
