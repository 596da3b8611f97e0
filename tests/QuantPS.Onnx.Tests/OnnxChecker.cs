using System.Diagnostics;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Tests;

/// <summary>The checker of ONNX's own package (Debian: python3-onnx), with shape inference.</summary>
internal static class OnnxChecker
{
    private const string Python = "/usr/bin/python3";
    private static readonly Lazy<bool> Installed = new(() => File.Exists(Python) && Run("-c", "import onnx").ExitCode == 0);

    public static bool IsInstalled => Installed.Value;

    public static void SkipIfMissing()
    {
        if (!Installed.Value)
            Assert.Skip("python3-onnx is not installed");
    }

    public static void Check(OnnxModel model) => Check([(model.Name, model)]);

    /// <summary>Many models in one process.</summary>
    public static void Check(IEnumerable<(string Name, OnnxModel Model)> models)
    {
        SkipIfMissing();
        using TempFile folder = new();
        foreach ((string name, OnnxModel model) in models)
            model.Save(Path.Combine(folder.Folder, name + ".onnx"));
        (int exitCode, string text) = Run("-c", """
            import glob, onnx, sys
            for path in glob.glob(sys.argv[1] + "/*.onnx"):
                try:
                    onnx.checker.check_model(onnx.load(path), full_check=True)
                except Exception as e:
                    sys.exit(path + ": " + str(e))
            """, folder.Folder);
        Assert.True(exitCode == 0, text);
    }

    private static (int ExitCode, string Text) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Python, arguments) { RedirectStandardError = true })!;
        string text = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, text);
    }
}
