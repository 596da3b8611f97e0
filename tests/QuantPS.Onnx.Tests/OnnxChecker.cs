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

    public static void Check(OnnxModel model, string what = "")
    {
        SkipIfMissing();
        using TempFile file = new();
        model.Save(file.Path);
        (int exitCode, string text) = Run("-c", "import onnx,sys; m=onnx.load(sys.argv[1]); onnx.checker.check_model(m, full_check=True)", file.Path);
        Assert.True(exitCode == 0, $"{what}: {text}");
    }

    private static (int ExitCode, string Text) Run(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Python, arguments) { RedirectStandardError = true })!;
        string text = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, text);
    }
}
