using System.Management.Automation;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Model;

namespace QuantPS.Abstractions;

/// <summary>Makes a float model of one layer, with weights and bias given, constant, or drawn as PyTorch initializes them.</summary>
public abstract class NewFloatLayerCmdlet : QuantCmdlet
{
    private Random random = Random.Shared;

    /// <summary>A Tensor, as many numbers as the weight has, or one number for all. Random by default: uniform in +-1/sqrt(fan in), as PyTorch's default.</summary>
    [Parameter]
    [ValidateNotNull]
    public object? Weight { get; set; }

    /// <summary>One number per output channel, or one for all. Random by default; $false or $null means no bias.</summary>
    [Parameter]
    [AllowNull]
    [AllowEmptyCollection]
    public object? Bias { get; set; }

    /// <summary>Makes random weights repeatable.</summary>
    [Parameter]
    public int? Seed { get; set; }

    /// <summary>For views and messages.</summary>
    [Parameter]
    public string Name { get; set; } = "";

    /// <summary>Makes the model.</summary>
    protected abstract OnnxModel Create();

    /// <inheritdoc/>
    protected sealed override void Process()
    {
        random = Seed is int seed ? new Random(seed) : new Random();
        WriteObject(new QModel(Create()));
    }

    /// <summary>The weight as the user gave it.</summary>
    protected Tensor WeightTensor(int[] shape, int fanIn)
    {
        object? given = Unwrap(Weight);
        if (given is Tensor tensor)
        {
            return tensor.Dims.SequenceEqual(shape) ? tensor
                : throw new QuantException(ErrorIds.ShapeMismatch, $"The weight [{TensorShape.Format(tensor.Dims)}] has to be [{TensorShape.Format(shape)}].", tensor);
        }
        return new Tensor(shape, Values(given, TensorShape.Count(shape), fanIn, "weight"));
    }

    /// <summary>The bias as the user gave it; null for none.</summary>
    protected float[]? BiasValues(int channels, int fanIn)
    {
        if (MyInvocation.BoundParameters.ContainsKey(nameof(Bias)) && Unwrap(Bias) is null or false)
            return null;
        return Unwrap(Bias) is Tensor tensor ? Values(tensor.ToArray(), channels, fanIn, "bias") : Values(Unwrap(Bias) is true ? null : Unwrap(Bias), channels, fanIn, "bias");
    }

    private float[] Values(object? given, int count, int fanIn, string what)
    {
        var values = new float[count];
        if (given is null)
        {
            float bound = 1f / MathF.Sqrt(fanIn);
            for (int i = 0; i < count; i++)
                values[i] = (random.NextSingle() * 2 - 1) * bound;
            return values;
        }
        float[] numbers = (float[])LanguagePrimitives.ConvertTo(given, typeof(float[]), System.Globalization.CultureInfo.InvariantCulture);
        if (numbers.Length == 1)
            Array.Fill(values, numbers[0]);
        else if (numbers.Length == count)
            values = numbers;
        else
            throw new QuantException(ErrorIds.ShapeMismatch, $"{numbers.Length} numbers for a {what} of {count}: give one number for all, or {count}.", given);
        return values;
    }

    private static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;
}
