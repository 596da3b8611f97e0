using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>New-Tensor: a float32 tensor of a shape, filled, given or random.</summary>
[Cmdlet(VerbsCommon.New, "Tensor", DefaultParameterSetName = FillSet)]
[OutputType(typeof(Tensor))]
public sealed class NewTensorCommand : QuantCmdlet
{
    private const string FillSet = "Fill";
    private const string ValueSet = "Value";
    private const string RandomSet = "Random";

    /// <summary>Sizes of the dimensions; images are N, C, H, W. An empty list makes a scalar.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [AllowEmptyCollection]
    public int[] Shape { get; set; } = [];

    /// <summary>The one value of every element. 0 by default.</summary>
    [Parameter(ParameterSetName = FillSet)]
    public float Fill { get; set; }

    /// <summary>The elements, row-major.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ValueSet)]
    [AllowEmptyCollection]
    public float[] Value { get; set; } = [];

    /// <summary>Uniform in [0, 1), as torch.rand; with -Normal the standard normal distribution.</summary>
    [Parameter(Mandatory = true, ParameterSetName = RandomSet)]
    public SwitchParameter Random { get; set; }

    /// <summary>The standard normal distribution, as torch.randn.</summary>
    [Parameter(ParameterSetName = RandomSet)]
    public SwitchParameter Normal { get; set; }

    /// <summary>The same seed gives the same tensor. (Not the numbers of PyTorch, whose generator is another.)</summary>
    [Parameter(ParameterSetName = RandomSet)]
    public int? Seed { get; set; }

    /// <inheritdoc/>
    protected override object CurrentItem => Shape;

    /// <inheritdoc/>
    protected override void Process()
    {
        if (ParameterSetName == ValueSet)
        {
            if (Value.Length != TensorShape.Count(Shape))
                throw new QuantException(ErrorIds.ShapeMismatch,
                    $"{Value.Length} values cannot fill the shape [{TensorShape.Format(Shape)}], which has {TensorShape.Count(Shape)} elements. Use -Fill for one value everywhere.", Shape);
            Tensor given = new(Shape);
            Value.CopyTo(given.Span);
            WriteObject(given);
            return;
        }
        Tensor tensor = new(Shape);
        if (ParameterSetName == RandomSet)
            FillRandom(tensor.Span);
        else
            tensor.Span.Fill(Fill);
        WriteObject(tensor);
    }

    private void FillRandom(Span<float> values)
    {
        Random random = Seed is int seed ? new Random(seed) : new Random();
        for (int i = 0; i < values.Length; i++)
            values[i] = Normal ? NextNormal(random) : random.NextSingle();
    }

    /// <summary>Box and Muller's cosine; 1 - u keeps the logarithm's argument above zero.</summary>
    private static float NextNormal(Random random) =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
}
