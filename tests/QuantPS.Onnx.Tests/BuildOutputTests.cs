using System.Diagnostics;

namespace QuantPS.Onnx.Tests;

public class BuildOutputTests
{
    /// <summary>The compiler writes over its output in place. Were that the file that runs, under another name, a build would change the code of whatever
    /// is running: methods that are compiled later come from the new file.</summary>
    [Fact]
    public void WhatRunsIsNotTheCompilersOwnFile()
    {
        string ran = typeof(BuildOutputTests).Assembly.Location, compiled = ran.Replace("/bin/", "/obj/", StringComparison.Ordinal);
        if (!OperatingSystem.IsLinux() || ran == compiled || !File.Exists(compiled))
            Assert.Skip("Looks at the files of a build on Linux");
        Assert.NotEqual(FileOf(compiled), FileOf(ran));
    }

    /// <summary>Device and inode.</summary>
    private static string FileOf(string path)
    {
        using Process stat = Process.Start(new ProcessStartInfo("stat", ["-c", "%d:%i", path]) { RedirectStandardOutput = true })!;
        string file = stat.StandardOutput.ReadToEnd();
        stat.WaitForExit();
        Assert.Equal(0, stat.ExitCode);
        return file;
    }
}
