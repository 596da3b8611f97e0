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
    public IReadOnlyList<Tensor> Run(ModelSample sample) => [.. RunAnyType(sample).Select(o => o as Tensor ?? ((QuantizedTensor)o).Dequantize())];

    /// <summary>The outputs as they are, a Tensor or a QuantizedTensor each, in the model's order.</summary>
    /// <exception cref="QuantException">NotANumber, NotFinite: where integers are made of the tensors.</exception>
    public IReadOnlyList<object> RunAnyType(ModelSample sample)
    {
        foreach (Tensor input in TakesAnyFloat ? [] : sample.Tensors)
        {
            int bad = input.FirstNonFinite();
            if (bad >= 0)
            {
                throw new QuantException(float.IsNaN(input.Span[bad]) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
                    $"{input} holds {input.Span[bad]} at [{TensorShape.Format(TensorShape.Index(input.Dims, bad))}]. Drop or repair this sample.", input);
            }
        }
        return RunCore(sample);
    }

    /// <summary>Samples in what is given: the first dimension, unless it lacks the batch dimension.</summary>
    public int SampleCount(ModelSample sample) => Inputs.SampleCount(sample.For(Inputs));

    protected abstract ModelInputs Inputs { get; }

    /// <summary>NaN and infinity mean what they mean in float (a mask's -infinity, say); they are no integers.</summary>
    protected virtual bool TakesAnyFloat => false;

    protected abstract IReadOnlyList<object> RunCore(ModelSample sample);

    public abstract void Dispose();
}

/// <summary>ONNX Runtime.</summary>
/// <param name="model">The model.</param>
/// <param name="settings">How to run it.</param>
/// <param name="isFloat">It makes no integers of what it is given.</param>
internal sealed class OnnxRuntimeRunner(OnnxModel model, SessionSettings settings, bool isFloat) : ModelRunner
{
    private readonly OnnxRuntimeSession session = new(model, settings: settings);

    protected override ModelInputs Inputs => session.Inputs;

    protected override bool TakesAnyFloat => isFloat;

    protected override IReadOnlyList<object> RunCore(ModelSample sample) => [.. session.RunAnyType(sample, model).Values];

    public override void Dispose() => session.Dispose();
}

/// <summary>Our int8 runtime.</summary>
internal sealed class Int8Runner(Int8Plan plan) : ModelRunner
{
    protected override ModelInputs Inputs => plan.Inputs;

    protected override IReadOnlyList<object> RunCore(ModelSample sample) => [.. plan.Run(sample.For(Inputs)).Outputs.Select(o => o.Value)];

    public override void Dispose() => plan.Dispose();
}

/// <summary>Our int8 runtime, on a model that came with integer operators.</summary>
internal sealed class IntegerRunner(ModelPlan plan) : ModelRunner
{
    protected override ModelInputs Inputs => plan.Inputs;

    protected override IReadOnlyList<object> RunCore(ModelSample sample) => [.. plan.Run(sample.For(Inputs)).Values];

    public override void Dispose() => plan.Dispose();
}
