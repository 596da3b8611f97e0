using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Models;

/// <summary>A model made ready to run on one runtime.</summary>
internal abstract class ModelRunner : IDisposable
{
    /// <summary>The outputs as float32, in the model's order, each under its name; quantized ones dequantized.</summary>
    public IReadOnlyList<Tensor> Run(Tensor input) => [.. RunAnyType(input).Select(o => o as Tensor ?? ((QuantizedTensor)o).Dequantize())];

    /// <summary>The outputs as they are, a Tensor or a QuantizedTensor each, in the model's order.</summary>
    public IReadOnlyList<object> RunAnyType(Tensor input)
    {
        int bad = input.FirstNonFinite();
        return bad < 0 ? RunCore(input) : throw new QuantException(float.IsNaN(input.Span[bad]) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
            $"{input} holds {input.Span[bad]} at [{TensorShape.Format(TensorShape.Index(input.Dims, bad))}]. Drop or repair this sample.", input);
    }

    /// <summary>Samples in a tensor: its first dimension, unless it lacks the batch dimension.</summary>
    public int SampleCount(Tensor input) => Inputs.Types is [{ } only] && only.Rank == input.Rank && input.Rank > 0 ? input.Dims[0] : 1;

    protected abstract ModelInputs Inputs { get; }

    protected abstract IReadOnlyList<object> RunCore(Tensor input);

    public abstract void Dispose();
}

/// <summary>ONNX Runtime.</summary>
internal sealed class OnnxRuntimeRunner(OnnxModel model) : ModelRunner
{
    private readonly OnnxRuntimeSession session = new(model);

    protected override ModelInputs Inputs => session.Inputs;

    protected override IReadOnlyList<object> RunCore(Tensor input) => [.. session.RunAnyType(input, model).Values];

    public override void Dispose() => session.Dispose();
}

/// <summary>Our int8 runtime.</summary>
internal sealed class Int8Runner(Int8Plan plan) : ModelRunner
{
    protected override ModelInputs Inputs => plan.Inputs;

    protected override IReadOnlyList<object> RunCore(Tensor input) => [.. plan.Run(input).Outputs.Select(o => o.Value)];

    public override void Dispose() => plan.Dispose();
}

/// <summary>Our int8 runtime, on a model that came with integer operators.</summary>
internal sealed class IntegerRunner(ModelPlan plan) : ModelRunner
{
    protected override ModelInputs Inputs => plan.Inputs;

    protected override IReadOnlyList<object> RunCore(Tensor input) => [.. plan.Run(input).Values];

    public override void Dispose() => plan.Dispose();
}
