using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Runtime.Fusion;

namespace QuantPS.Onnx.Runtime;

/// <summary>Layers between two float parts that are too small to be worth the way out of ONNX Runtime and back into it: it runs them itself, and both parts are one. Only where a model
/// falls into many parts, as speech networks do, whose convolutions stand between recurrent layers.</summary>
/// <remarks>A float part more costs a call, and integers made into floats and back on either side: 20 to 30 us in GTCRN on Zen 3, with calls that bound nothing beforehand. What layers save is estimated, not
/// measured one by one: from whole runs of ResNet-50 and MobileNetV2 (products, elements) and of GTCRN and TEN VAD (small layers), in this module against ONNX Runtime.</remarks>
internal static class IslandJoining
{
    /// <summary>Parts that have to become one each with the next to be worth it that layers are not run by this module.</summary>
    private const int LeastJoints = 3;

    /// <summary>What a float part more costs, in microseconds.</summary>
    private const double CallUs = 20;

    /// <summary>Layers that save less than this together, in microseconds, are not worth a second thread.</summary>
    private const double LittleUs = 50;

    /// <summary>About what a layer with weights saves, however small it is, and then for each product, in microseconds.</summary>
    private const double LayerUs = 1, ProductUs = 5e-6;

    /// <summary>About what any other saves, in microseconds: small ones cost ONNX Runtime less, as it makes no new tensor for what only gets another shape. Then for each element.</summary>
    private const double OtherUs = -2, ElementUs = 3e-4;

    /// <summary>The groups between two float parts that save less than a part costs.</summary>
    /// <param name="groups">In running order.</param>
    /// <param name="isPart">Whether a group is a float part.</param>
    /// <param name="savedUs">What the steps of a group save over ONNX Runtime, in microseconds.</param>
    /// <param name="goesOn">Parts were joined before.</param>
    public static IReadOnlyList<TGroup> Find<TGroup>(IReadOnlyList<TGroup> groups, Func<TGroup, bool> isPart, Func<TGroup, double> savedUs, bool goesOn)
    {
        List<TGroup> small = [];
        int joints = 0;
        for (int i = 0, last = -1; i < groups.Count; i++)
        {
            if (!isPart(groups[i]))
                continue;
            TGroup[] between = last < 0 ? [] : [.. groups.Skip(last + 1).Take(i - last - 1)];
            if (between.Length > 0 && between.Sum(savedUs) < CallUs)
            {
                small.AddRange(between);
                joints++;
            }
            last = i;
        }
        return goesOn || joints >= LeastJoints ? small : [];
    }

    /// <summary>Whether float parts are all that threads are worth for.</summary>
    public static bool IsLittleBeside<TGroup>(IReadOnlyList<TGroup> groups, Func<TGroup, bool> isPart, Func<TGroup, double> savedUs) =>
        groups.Any(isPart) && groups.Where(g => !isPart(g)).Sum(savedUs) < LittleUs;

    /// <summary>What a step saves, in microseconds; infinite where nobody knows how much work it is.</summary>
    /// <param name="step">Any step.</param>
    /// <param name="types">Sizes of the model's values. What is open because the batch is counts as one; nothing is known where another size of an input is open.</param>
    public static double SavedUs(PlanStep step, ValueTypes types)
    {
        if (step is QuantizeStep or DequantizeStep or FloatReshapeStep)
            return 0;
        if (step is not UnitStep { Unit: { } unit } || types[unit.Nodes[^1].Output[0]] is not { Rank: > 0 } type
            || (type.Dims.Any(d => d < 0) && types.Inputs.Types.Any(i => i.Dims.Skip(1).Any(d => d < 0))))
            return double.PositiveInfinity;
        double elements = TensorShape.Count([.. type.Dims.Select(d => d < 0 ? 1 : d)]);
        return elements * ElementUs + (unit.Weight is { } weight ? LayerUs + elements / weight.Dims[0] * weight.Length * ProductUs : OtherUs);
    }
}
