using System.Text.Json;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Tests.Golden;

/// <summary>A corpus of any size, made elsewhere by tools/golden.py or tools/libtorch with another seed: QUANTPS_CORPUS names its folder.</summary>
public class KernelCorpusTests
{
    private const string Variable = "QUANTPS_CORPUS";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Every_integer_equals_the_real_engine(bool compat)
    {
        string? folder = Environment.GetEnvironmentVariable(Variable);
        if (folder is null)
            Assert.Skip($"{Variable} names no folder of kernels_*.json files.");
        string[] files = Directory.GetFiles(folder, "kernels_*.json");
        Assert.NotEmpty(files);
        long cases = 0, integers = 0;
        var wrong = new List<string>();
        foreach (string file in files)
        {
            TorchVersion version = file.Contains("torch113", StringComparison.Ordinal) ? TorchVersion.V1_13 : TorchVersion.V2;
            using FileStream stream = File.OpenRead(file);
            using JsonDocument document = JsonDocument.Parse(stream);
            foreach (JsonElement c in document.RootElement.GetProperty("cases").EnumerateArray())
            {
                foreach (JsonProperty y in c.GetProperty("y").EnumerateObject())
                {
                    QuantizedWeightLayer layer = KernelCase.Layer(c, y.Name, version, compat);
                    if (!compat && KernelCase.MeetsEngineDefect(layer))
                        continue;
                    byte[] expected = y.Value.GetBytesFromBase64(), actual = (byte[])KernelCase.Run(c, layer).IntRepr();
                    cases++;
                    integers += expected.Length;
                    if (!expected.AsSpan().SequenceEqual(actual))
                        wrong.Add($"{Path.GetFileName(file)} {c.GetProperty("id")} {y.Name}: {expected.Zip(actual).Count(p => p.First != p.Second)} of {expected.Length}");
                }
            }
        }
        TestContext.Current.SendDiagnosticMessage($"{cases} cases, {integers} integers, {wrong.Count} cases differ (compat {compat})");
        Assert.Empty(wrong);
    }
}
