using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Functional;

/// <summary>A function on quantized tensors.</summary>
/// <param name="Name">PyTorch's name: add, max_pool2d, hardswish.</param>
/// <param name="Arguments">The keyword arguments that it knows.</param>
/// <param name="Run">First tensor and call to result.</param>
public sealed record QuantizedFunction(string Name, string[] Arguments, Func<QuantizedTensor, FunctionCall, QuantizedTensor> Run);

/// <summary>Every function on quantized tensors, a line each: torch.ops.quantized, torch.ao.nn.quantized.functional and FloatFunctional by their names.</summary>
public static class QuantizedFunctions
{
    private static readonly string[] Pool = ["kernel_size", "stride", "padding", "dilation", "ceil_mode"];
    private static readonly string[] AveragePool = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"];
    private static readonly string[] Resize = ["size", "scale_factor", "mode", "align_corners"];

    private static readonly Dictionary<string, QuantizedFunction> ByName = new QuantizedFunction[]
    {
        new("add", [], (x, c) => new QuantizedAdd(x.QParams, c.Other().QParams, c.RequiredOutput(), c.Engine, c.Options).Run(x, c.Other())),
        new("add_relu", [], (x, c) => new QuantizedAdd(x.QParams, c.Other().QParams, c.RequiredOutput(), c.Engine, c.Options with { Relu = true }).Run(x, c.Other())),
        new("mul", [], (x, c) => new QuantizedMul(c.RequiredOutput(), c.Engine, c.Options).Run(x, c.Other())),
        new("mul_relu", [], (x, c) => new QuantizedMul(c.RequiredOutput(), c.Engine, c.Options with { Relu = true }).Run(x, c.Other())),
        new("add_scalar", ["scalar"], (x, c) => new QuantizedAddScalar(c.Number("scalar", required: true)!.Value, c.Engine, c.Options).Run(x)),
        new("mul_scalar", ["scalar"], (x, c) => new QuantizedMulScalar(c.Number("scalar", required: true)!.Value, c.Options.Relu).Run(x)),
        new("cat", ["dim"], (x, c) => new QuantizedConcat(c.RequiredOutput(), (int)(c.Number("dim") ?? 1), true, c.Engine, c.Options).Run([x, .. c.Others])),
        new("cat_relu", ["dim"], (x, c) => new QuantizedConcat(c.RequiredOutput(), (int)(c.Number("dim") ?? 1), true, c.Engine, c.Options with { Relu = true }).Run([x, .. c.Others])),
        new("max_pool1d", Pool, (x, c) => new QuantizedMaxPool(Window(c, 1), c.Engine, c.Options).Run(x)),
        new("max_pool2d", Pool, (x, c) => new QuantizedMaxPool(Window(c, 2), c.Engine, c.Options).Run(x)),
        new("avg_pool2d", AveragePool, (x, c) => Average(x, c, 2)),
        new("avg_pool3d", AveragePool, (x, c) => Average(x, c, 3)),
        new("adaptive_avg_pool2d", ["output_size"], (x, c) => new QuantizedAdaptiveAveragePool(Spread(c.Ints("output_size", required: true)!, 2), true, c.Engine, c.Options).Run(x)),
        new("adaptive_avg_pool3d", ["output_size"], (x, c) => new QuantizedAdaptiveAveragePool(Spread(c.Ints("output_size", required: true)!, 3), true, c.Engine, c.Options).Run(x)),
        new("mean", ["dim", "keepdim"], (x, c) => new QuantizedMean(c.Ints("dim", required: true)!, c.Flag("keepdim", false), true, c.Engine).Run(x)),
        new("sigmoid", [], (x, c) => new QuantizedSigmoid(x.QParams, c.Engine, c.Options, c.Output).Run(x)),
        new("tanh", [], (x, c) => new QuantizedTanh(x.QParams, c.Engine, c.Options).Run(x)),
        new("hardsigmoid", [], (x, c) => new QuantizedHardSigmoid(x.QParams, c.Engine, c.Options).Run(x)),
        new("hardswish", [], (x, c) => new QuantizedHardSwish(x.QParams, c.RequiredOutput(), c.Engine, c.Options).Run(x)),
        new("leaky_relu", ["negative_slope"], (x, c) => new QuantizedLeakyRelu(x.QParams, c.RequiredOutput(), (float)(c.Number("negative_slope") ?? 0.01), c.Engine, c.Options).Run(x)),
        new("elu", ["alpha"], (x, c) => new QuantizedElu(x.QParams, c.RequiredOutput(), (float)(c.Number("alpha") ?? 1), engine: c.Engine, options: c.Options).Run(x)),
        new("celu", ["alpha"], (x, c) => QuantizedElu.Celu(x.QParams, c.RequiredOutput(), c.Number("alpha") ?? 1, c.Engine, c.Options).Run(x)),
        new("relu", [], (x, _) => new QuantizedRelu(x.QParams).Run(x)),
        new("relu6", [], (x, _) => QuantizedClamp.Relu6(x.QParams).Run(x)),
        new("clamp", ["min", "max"], (x, c) => new QuantizedClamp(x.QParams, (float?)c.Number("min"), (float?)c.Number("max")).Run(x)),
        new("hardtanh", ["min_val", "max_val"], (x, c) => new QuantizedClamp(x.QParams, (float)(c.Number("min_val") ?? -1), (float)(c.Number("max_val") ?? 1)).Run(x)),
        new("threshold", ["threshold", "value"], (x, c) => new QuantizedThreshold(x.QParams, (float)c.Number("threshold", true)!.Value, (float)c.Number("value", true)!.Value, c.Engine, c.Options).Run(x)),
        new("interpolate", Resize, Interpolate),
        new("requantize", [], (x, c) => new QuantizedRequantize(c.RequiredOutput()).Run(x)),
    }.ToDictionary(f => f.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>The functions, in the order of the registry.</summary>
    public static IReadOnlyCollection<QuantizedFunction> All => ByName.Values;

    /// <summary>Runs a function by name.</summary>
    /// <exception cref="QuantException">InvalidArgument: no such function or argument; what the function itself refuses.</exception>
    public static QuantizedTensor Run(string name, QuantizedTensor x, FunctionCall call)
    {
        if (!ByName.TryGetValue(name, out QuantizedFunction? function))
            throw new QuantException(ErrorIds.InvalidArgument, $"There is no quantized function '{name}'. Known: {string.Join(", ", ByName.Keys)}.", name);
        foreach (string argument in call.Arguments.Keys)
        {
            if (!function.Arguments.Contains(argument, StringComparer.OrdinalIgnoreCase))
                throw new QuantException(ErrorIds.InvalidArgument, $"{name} has no argument '{argument}'. {(function.Arguments.Length == 0 ? "It takes none." : $"Known: {string.Join(", ", function.Arguments)}.")}", argument);
        }
        return function.Run(x, call);
    }

    private static PoolGeometry Window(FunctionCall c, int rank) => new(
        Spread(c.Ints("kernel_size", required: true)!, rank),
        c.Ints("stride") is int[] s ? Spread(s, rank) : null,
        c.Ints("padding") is int[] p ? Spread(p, rank) : null,
        c.Ints("dilation") is int[] d ? Spread(d, rank) : null,
        c.Flag("ceil_mode", false));

    private static QuantizedTensor Average(QuantizedTensor x, FunctionCall c, int rank) =>
        new QuantizedAveragePool(Window(c, rank), c.Flag("count_include_pad", true), (int?)c.Number("divisor_override"), true, c.Engine, c.Options).Run(x);

    private static QuantizedTensor Interpolate(QuantizedTensor x, FunctionCall c)
    {
        int spatial = x.Rank - 2;
        double[]? factors = c.Number("scale_factor") is double f ? [.. Enumerable.Repeat(f, spatial)] : null;
        int[] size = c.Ints("size") is int[] given ? Spread(given, spatial)
            : factors is not null ? [.. x.Dims[2..].ToArray().Select(d => (int)Math.Floor(d * factors[0]))]
            : throw new QuantException(ErrorIds.InvalidArgument, "interpolate needs size or scale_factor.", c.Function);
        InterpolationMode mode = Enum.TryParse(c.Text("mode") ?? "nearest", ignoreCase: true, out InterpolationMode m) ? m
            : throw new QuantException(ErrorIds.InvalidArgument, $"interpolate has no mode '{c.Text("mode")}'. Known: {string.Join(", ", Enum.GetNames<InterpolationMode>()).ToLowerInvariant()}.", c.Function);
        return new QuantizedInterpolate(size, mode, c.Flag("align_corners", false), factors, true, c.Options).Run(x);
    }

    private static int[] Spread(int[] values, int rank) => values.Length == 1 ? [.. Enumerable.Repeat(values[0], rank)] : values;
}
