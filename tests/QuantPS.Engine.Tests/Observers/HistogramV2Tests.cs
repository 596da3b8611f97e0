using System.Text.Json;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tests.Golden;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>The histogram of PyTorch 2.x against the NumPy reference that equals libtorch 2.10 (tests/golden/tools/histogram_v2.py): state, chosen
/// range and parameters, all exactly.</summary>
public class HistogramV2Tests
{
    private const string File = "histogram_v2_ref.json";

    public static TheoryData<string> Ids => GoldenFile.Ids(File);

    [Theory, MemberData(nameof(Ids))]
    public void StateRangeAndParametersAreTheReferences(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        ObserverSpec spec = ObserverGolden.Spec(golden.GetProperty("args"), ObserverKind.Histogram, TorchVersion.V2);
        Observer observer = ObserverGolden.Observe(spec, golden);
        if (golden.IsMissing("min"))
        {
            Assert.True(observer.MinValues.IsEmpty);
            Assert.True(observer.Histogram.IsEmpty);
        }
        else
        {
            ObserverGolden.AssertBits([golden.GetProperty("min").Single()], observer.MinValues);
            ObserverGolden.AssertBits([golden.GetProperty("max").Single()], observer.MaxValues);
            float[] counts = new float[spec.Bins];
            int[] index = golden.GetProperty("index").Integers();
            float[] value = golden.GetProperty("value").Elements<float>();
            for (int i = 0; i < index.Length; i++)
                counts[index[i]] = value[i];
            ObserverGolden.AssertBits(counts, observer.Histogram);
            (float[] low, float[] high) = observer.SelectRange();
            ObserverGolden.AssertBits([golden.GetProperty("lo").Single()], low);
            ObserverGolden.AssertBits([golden.GetProperty("hi").Single()], high);
        }
        ObserverGolden.AssertQParams(golden, observer);
    }
}
