using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests;

/// <summary>Float model to predictions, the way the cmdlets do it.</summary>
internal static class Workflow
{
    private const int BatchSize = 32;

    /// <summary>MinMax activations over the full range, per-channel symmetric weights, oneDNN.</summary>
    public static QConfig MinMaxPerChannel => QConfigPresets.Get("onednn") with { Name = "minmax", Activation = new ObserverSpec { Kind = ObserverKind.MinMax } };

    public static QConfig ConfigOf(string name) => name == "minmax" ? MinMaxPerChannel : QConfigPresets.Get(name);

    public static CalibrationData Calibrate(OnnxModel model, QConfig config, int images = int.MaxValue)
    {
        using Calibrator calibrator = new(model, config);
        foreach (Tensor batch in TestData.Batches(TestData.Calibration, BatchSize, images))
            calibrator.Observe(batch);
        return calibrator.Finish();
    }

    public static int[] PredictFloat(OnnxModel model, int images)
    {
        using OnnxRuntimeSession session = new(model);
        return [.. TestData.Batches(TestData.TestImages, 100, images).SelectMany(b => TestData.Top1(session.Run(b).Values.First()))];
    }

    public static int[] PredictInt8(QuantizedGraph graph, int images)
    {
        using Int8Plan plan = new(graph);
        return [.. TestData.Batches(TestData.TestImages, 100, images).SelectMany(b => TestData.Top1(plan.Run(b).Outputs.Values.First()))];
    }

    /// <summary>Share of correct predictions, in percent.</summary>
    public static double Top1(int[] predictions)
    {
        byte[] labels = TestData.TestLabels;
        return 100.0 * predictions.Where((p, i) => p == labels[i]).Count() / predictions.Length;
    }

    /// <summary>Share of equal predictions, in percent.</summary>
    public static double Agreement(int[] a, int[] b) => 100.0 * a.Zip(b).Count(p => p.First == p.Second) / a.Length;
}
