using System.Collections.Concurrent;
using System.Reflection;
using QuantPS.Pester.Runner;
using Xunit.Sdk;
using Xunit.v3;

[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: CaptureConsole]

namespace QuantPS.Pester;

/// <summary>Every It of every *.Tests.ps1 beside this file, each as one test.</summary>
public sealed class Scenarios
{
    /// <summary>Where the scenarios are written.</summary>
    internal static readonly string Folder = typeof(Scenarios).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(a => a.Key == "ScenarioFolder").Value!;

    private static readonly ConcurrentDictionary<string, Lazy<PesterFile>> Files = new();

    /// <summary>Runs the discovery phase of the files.</summary>
    public static IEnumerable<TheoryDataRow<string, int>> Discovered()
    {
        foreach (string path in Directory.EnumerateFiles(Folder, "*.Tests.ps1").Order(StringComparer.Ordinal))
        {
            string file = Path.GetFileName(path);
            foreach (DiscoveredTest test in Open(file).Tests)
            {
                var row = new TheoryDataRow<string, int>(file, test.Index)
                {
                    TestDisplayName = $"{file[..^".Tests.ps1".Length]}: {test.Name}",
                };
                if (test.Tags.Count > 0)
                    row.Traits["Tag"] = [.. test.Tags];
                yield return row;
            }
        }
    }

    /// <summary>One It.</summary>
    [Theory]
    [MemberData(nameof(Discovered))]
    public void It(string file, int index)
    {
        PesterResult result = Open(file).Result(index);
        Assert.SkipWhen(result.Outcome == TestOutcome.Skipped, result.Message);
        if (result.Outcome != TestOutcome.Passed)
            Assert.Fail(result.Message);
    }

    private static PesterFile Open(string file) =>
        Files.GetOrAdd(file, static f => new Lazy<PesterFile>(() => new PesterFile(Path.Combine(Folder, f)))).Value;
}
