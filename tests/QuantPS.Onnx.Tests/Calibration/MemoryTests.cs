using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Onnx.Tests.Calibration;

/// <summary>Calibration takes the same memory for few images and for many. Each measurement is the peak of a process of its own: this
/// assembly, started with a variable that says what to calibrate.</summary>
public class MemoryTests
{
    private const string Variable = "QUANTPS_TEST_PEAK";
    private const int BatchSize = 10;

    public static TheoryData<ObserverKind> Kinds =>
        [ObserverKind.MinMax, ObserverKind.MovingAverageMinMax, ObserverKind.Histogram, ObserverKind.Mse, ObserverKind.OrtMinMax,
            ObserverKind.Entropy, ObserverKind.Percentile, ObserverKind.Distribution];

    [Theory, MemberData(nameof(Kinds))]
    public void PeakDoesNotGrowWithTheImages(ObserverKind kind) => AssertFlat(kind, TorchVersion.V2);

    [Fact]
    public void NorDoesThatOfTheHistogramOf113() => AssertFlat(ObserverKind.Histogram, TorchVersion.V1_13);

    [Fact]
    public void TheMeasurementSeesHoarding()
    {
        // Recording keeps every tensor, and so shows that one that should not would be found.
        long few = Peak(ObserverKind.Recording, 100), many = Peak(ObserverKind.Recording, 1000);
        Assert.True(many > few * 1.05, $"{few} bytes at 100 images, {many} at 1,000.");
    }

    /// <summary>A process's peak varies by a few percent from run to run with how threads meet, upwards on a busy machine, so the smallest of three counts, for few images as for
    /// many, and of up to nine where three do not settle it: what grows with the images grows in all of them.</summary>
    private static void AssertFlat(ObserverKind kind, TorchVersion version)
    {
        (long few, long many) = (Smallest(100), Smallest(1000));
        for (int again = 0; again < 2 && many >= few * 1.05; again++)
            (few, many) = (Math.Min(few, Smallest(100)), Math.Min(many, Smallest(1000)));
        Assert.True(many < few * 1.05, $"{kind}: {few} bytes at 100 images, {many} at 1,000.");

        long Smallest(int images) => Enumerable.Range(0, 3).Min(_ => Peak(kind, images, version));
    }

    private static long Peak(ObserverKind kind, int images, TorchVersion version = TorchVersion.V2)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardOutput = true, ArgumentList = { typeof(MemoryTests).Assembly.Location } };
        start.Environment[Variable] = $"{kind},{images},{version}";
        // Collections at fixed amounts rather than by the machine's cache and load; no code that is compiled again later.
        start.Environment["DOTNET_gcConcurrent"] = "0";
        start.Environment["DOTNET_GCgen0size"] = "100000";
        start.Environment["DOTNET_TieredCompilation"] = "0";
        using Process process = Process.Start(start)!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return long.Parse(text, CultureInfo.InvariantCulture);
    }

    [ModuleInitializer]
    internal static void MeasureInstead()
    {
        if (Environment.GetEnvironmentVariable(Variable)?.Split(',') is not [string kind, string images, string version])
            return;
        using (Calibrator calibrator = new(TestData.Network("fmnist-mobile"),
            QConfigPresets.Get("onednn") with { Activation = new ObserverSpec { Kind = Enum.Parse<ObserverKind>(kind), TorchVersion = Enum.Parse<TorchVersion>(version) } }))
        {
            // One tensor for all batches: what images take until they are collected is not calibration's.
            Tensor batch = new(BatchSize, 1, 28, 28);
            Random random = new(1);
            for (int i = 0; i < int.Parse(images, CultureInfo.InvariantCulture); i += BatchSize)
            {
                foreach (ref float v in batch.Span)
                    v = random.NextSingle() - 0.5f;
                calibrator.Observe(batch);
            }
            calibrator.Finish();
        }
        using Process me = Process.GetCurrentProcess();
        Console.WriteLine(me.PeakWorkingSet64);
        Environment.Exit(0);
    }
}
