using System.Text.Json;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tests.Golden;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>Every observer against PyTorch 1.13: scale bits and zero points.</summary>
public class Torch113ObserverTests
{
    private const string File = "observers_torch113.json";

    public static TheoryData<string> Ids => GoldenFile.Ids(File);

    [Theory, MemberData(nameof(Ids))]
    public void ParametersAreTorchs(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        ObserverSpec spec = ObserverGolden.Spec(golden.GetProperty("args"), Enum.Parse<ObserverKind>(golden.GetProperty("observer").GetString()!), TorchVersion.V1_13);
        ObserverGolden.AssertQParams(golden, ObserverGolden.Observe(spec, golden));
    }
}
