using System.Diagnostics;
using Google.Protobuf;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;

namespace QuantPS.Onnx.Tests.NodeTests;

/// <summary>ONNX's own node tests, from Debian's package libonnx-testdata: a model, inputs and the outputs that the standard demands.</summary>
internal static class NodeTestData
{
    private const string Package = "libonnx-testdata", Expanded = "_expanded";

    private static readonly Lazy<string?> Folder = new(FindFolder);

    /// <summary>Why the tests cannot run; null when they can.</summary>
    public static string? Missing => Folder.Value is null ? $"The package {Package} is not installed." : null;

    /// <summary>The tests of our integer operators, and of these as the functions of other operators that the standard also defines them by.</summary>
    public static IEnumerable<string> Names()
    {
        if (Folder.Value is not string folder)
            return [];
        return Directory.EnumerateDirectories(folder).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)
            .Where(n => HasIntegerOperator(n) || (n.EndsWith(Expanded, StringComparison.Ordinal) && HasIntegerOperator(n[..^Expanded.Length])));
    }

    public static OnnxModel Model(string name) => OnnxModel.Load(Path.Combine(Folder.Value!, name, "model.onnx"));

    /// <summary>The data sets of a test: inputs and outputs in the graph's order.</summary>
    public static IEnumerable<(TensorProto[] Inputs, TensorProto[] Outputs)> DataSets(string name) =>
        Directory.EnumerateDirectories(Path.Combine(Folder.Value!, name), "test_data_set_*").Select(d => (Read(d, "input"), Read(d, "output")));

    private static TensorProto[] Read(string folder, string what) =>
        [.. Enumerable.Range(0, int.MaxValue).Select(i => Path.Combine(folder, $"{what}_{i}.pb")).TakeWhile(File.Exists)
            .Select(f => TensorProto.Parser.ParseFrom(File.ReadAllBytes(f)))];

    private static bool HasIntegerOperator(string name)
    {
        string file = Path.Combine(Folder.Value!, name, "model.onnx");
        return File.Exists(file)
            && ModelProto.Parser.ParseFrom(File.ReadAllBytes(file)).Graph.Node.Any(n => IntegerOperatorRegistry.Find(n) is not null);
    }

    /// <summary>Where the package's files are, by the package manager.</summary>
    private static string? FindFolder()
    {
        try
        {
            ProcessStartInfo list = new("dpkg", ["-L", Package]) { RedirectStandardOutput = true, RedirectStandardError = true };
            using Process dpkg = Process.Start(list)!;
            string[] files = dpkg.StandardOutput.ReadToEnd().Split('\n');
            dpkg.WaitForExit();
            return files.FirstOrDefault(f => f.EndsWith("/data/node", StringComparison.Ordinal) && Directory.Exists(f));
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // No dpkg: not a Debian.
            return null;
        }
    }
}
