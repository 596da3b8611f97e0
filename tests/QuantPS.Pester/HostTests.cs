using System.Diagnostics;
using System.Management.Automation;
using QuantPS.Host;

namespace QuantPS.Pester;

/// <summary>The console host: what a script sees and what its caller gets back. In this process where that is the same.</summary>
public sealed class HostTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("host test-");

    /// <summary>Words of a command line and what a param() block makes of them.</summary>
    public static TheoryData<string[], string> Arguments() => new()
    {
        { [], "Name= N= Flag=False On=True First= Rest=" },
        { ["-Name", "a b", "-Flag"], "Name=a b N= Flag=True On=True First= Rest=" },
        { ["-name:a b", "-Flag:$false", "-On:$false"], "Name=a b N= Flag=False On=False First= Rest=" },
        { ["-N", "1,2, 3"], "Name= N=1|2|3 Flag=False On=True First= Rest=" },
        { ["-N:4,5"], "Name= N=4|5 Flag=False On=True First= Rest=" },
        { ["-N", "7"], "Name= N=7 Flag=False On=True First= Rest=" },
        { ["x y", "-Flag", "z,1"], "Name= N= Flag=True On=True First=x y Rest=z|1" },
        { ["-5", "-Na", "v"], "Name=v N= Flag=False On=True First=-5 Rest=" },
        { ["-Title", "-Flag"], "Name=-Flag N= Flag=False On=True First= Rest=" },
        { ["", "$HOME 'quoted' \"x\""], "Name= N= Flag=False On=True First= Rest=$HOME 'quoted' \"x\"" },
    };

    /// <summary>Arguments are bound as pwsh -File binds them, arrays as a shell can write them.</summary>
    [Theory]
    [MemberData(nameof(Arguments))]
    public void ArgumentsAreBound(string[] words, string expected)
    {
        const string Script = """
            param([Alias('Title')] [string] $Name, [int[]] $N, [switch] $Flag, [bool] $On = $true,
                [Parameter(Position = 0)] [AllowEmptyString()] $First, [Parameter(Position = 1)] [string[]] $Rest)
            "Name=$Name N=$($N -join '|') Flag=$Flag On=$On First=$First Rest=$($Rest -join '|')"
            """;
        Shown shown = Run(Script, words);
        Assert.Equal((0, expected + "\n", ""), (shown.ExitCode, shown.Out, shown.Error));
    }

    /// <summary>Texts of scripts, the exit code, and parts of what is shown on both streams.</summary>
    public static TheoryData<string, int, string, string> Scripts() => new()
    {
        { "'text'; 1.5; $true", 0, "text\n1.5\nTrue\n", "" },
        { "exit 7", 7, "", "" },
        { "function f { exit 3 }; f; 'never'", 3, "", "" },
        { "[pscustomobject] @{ Name = 'x'; Value = 1 }; exit 4", 4, "Name Value\n---- -----\nx        1\n", "" },
        { "[pscustomobject] @{ Name = 'x'; Value = 1 }; throw 'oh'", 1, "Name Value\n", "| oh" },
        { "throw 'oh'", 1, "", "a.ps1:1\nLine |\n   1 |  throw 'oh'\n" },
        { "'before'\n[int]::Parse('x')\n'after'", 0, "before\nafter\n", "a.ps1:2" },
        { "$ErrorActionPreference = 'Stop'\nGet-Nothing\n'never'", 1, "", "Get-Nothing" },
        { "if (", 1, "", "Missing condition" },
        { "& sh -c 'exit 5'; \"last $LASTEXITCODE\"", 0, "last 5", "" },
        { "$Host.UI.WriteWarningLine('w'); $Host.UI.WriteVerboseLine('v'); $Host.UI.WriteDebugLine('d')", 0, "WARNING: w\nVERBOSE: v\nDEBUG: d\n", "" },
        { "function f { [CmdletBinding()] param() $PSCmdlet.WriteVerbose('v') }; f; f -Verbose", 0, "VERBOSE: v\n", "" },
        { "$PSScriptRoot -eq [System.IO.Path]::GetDirectoryName($PSCommandPath); $MyInvocation.MyCommand.Name", 0, "True\na.ps1\n", "" },
        { "[pscustomobject] @{ A = 1 } | Format-List; ([pscustomobject] @{ A = 1 } | Out-String) -replace '\\s'", 0, "A : 1\n\nA-1", "" },
        { "[pscustomobject] @{ A = 1; B = 2 } | Format-Table -Property B -HideTableHeaders", 0, "2", "" },
        { "'x' | Out-String -Stream; 1..2 | ForEach-Object -Parallel { 'p' }", 0, "x\np\np\n", "" },
        { "$Host.UI.RawUI.WindowSize.Width -ge 20; $Host.UI.RawUI.BufferSize.Height -gt 0; $Host.Name", 0, "True\nTrue\nQuantPS.Host\n", "" },
        { "\"`e[31mred`e[0m\"", 0, "red\n", "" },
    };

    /// <summary>Exit codes and streams are pwsh's.</summary>
    [Theory]
    [MemberData(nameof(Scripts))]
    public void ScriptsBehave(string script, int exitCode, string output, string error)
    {
        Shown shown = Run(script);
        Assert.Equal(exitCode, shown.ExitCode);
        Assert.Contains(output, shown.Out, StringComparison.Ordinal);
        Assert.Contains(error, shown.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("never", shown.Out, StringComparison.Ordinal);
        Assert.Equal(error.Length == 0, shown.Error.Length == 0);
    }

    /// <summary>Texts of -Command: the exit code says how the last command went.</summary>
    [Theory]
    [InlineData("1", 0)]
    [InlineData("Get-Nothing", 1)]
    [InlineData("Get-Nothing; 1", 0)]
    [InlineData("1; Get-Nothing # comment", 1)]
    [InlineData("exit 9", 9)]
    [InlineData("throw 1", 1)]
    public void CommandsGiveTheirSuccess(string text, int exitCode)
    {
        using var runner = new ScriptRunner(new Terminal { Out = TextWriter.Null, Error = TextWriter.Null, In = TextReader.Null });
        Assert.Equal(exitCode, runner.RunCommand(text));
    }

    /// <summary>Confirmation is asked for on the output and read from the input.</summary>
    [Theory]
    [InlineData("y\n", "done a\nkept b\n", "x")]
    [InlineData("A\n", "done a\ndone b\n", "x")]
    [InlineData("what\n?\nNo\nyes\n", "kept a\ndone b\n", "Y - ")]
    public void ConfirmationIsRead(string answers, string results, string part)
    {
        const string Script = """
            function f { [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(ValueFromPipeline)] $x)
                process { if ($PSCmdlet.ShouldProcess("x$x")) { "done $x" } else { "kept $x" } } }
            $r = 'a', 'b' | f
            $r
            """;
        Shown shown = Run(Script, input: answers + "n\n");
        Assert.EndsWith(results, shown.Out, StringComparison.Ordinal);
        Assert.Contains("[Y] Yes  [A] Yes to All  [N] No  [L] No to All", shown.Out, StringComparison.Ordinal);
        Assert.Contains(part, shown.Out, StringComparison.Ordinal);
    }

    /// <summary>No answer is no consent.</summary>
    [Fact]
    public void EndOfInputConfirmsNothing()
    {
        Shown shown = Run("function f { [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param() if ($PSCmdlet.ShouldProcess('x')) { 'done' } }\nf", input: "");
        Assert.DoesNotContain("done", shown.Out, StringComparison.Ordinal);
        Assert.Contains("Standard input ended", shown.Error, StringComparison.Ordinal);
    }

    /// <summary>Read-Host's part of the host, and mandatory parameters.</summary>
    [Fact]
    public void LinesAndParametersAreRead()
    {
        Shown shown = Run("function f { param([Parameter(Mandatory)] [string] $X, [Parameter(Mandatory)] [int[]] $Y) \"$X $($Y -join '+')\" }\nf\n$Host.UI.ReadLine()", input: "a b\n1\n2\n\nlast\n");
        Assert.EndsWith("a b 1+2\nlast\n", shown.Out, StringComparison.Ordinal);
    }

    /// <summary>A line of progress: bar, status and time left, cut to the window.</summary>
    [Fact]
    public void ProgressIsOneLine()
    {
        var record = new ProgressRecord(1, "Calibrating resnet8", "384/512 images  412/s") { PercentComplete = 75, SecondsRemaining = 65 };
        Assert.Equal("Calibrating resnet8  ███████████████░░░░░  384/512 images  412/s  1:05 left", ProgressBar.Render(record, 100));
        Assert.Equal(40, ProgressBar.Render(record, 40).Length);
        var writer = new StringWriter();
        var bar = new ProgressBar(writer, () => 80);
        for (int i = 0; i < 1000; i++)
            bar.Update(1, record);
        Assert.Equal(1, writer.ToString().Count(c => c == '\r'));
        bar.Update(1, new ProgressRecord(1, "Calibrating resnet8", "done") { RecordType = ProgressRecordType.Completed });
        Assert.EndsWith(" \r", writer.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain('\n', writer.ToString());
    }

    /// <summary>Ctrl+C stops the pipeline, lets `finally` run, and gives 130.</summary>
    [Fact]
    public async Task InterruptStopsTheScript()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "A process cannot be sent Ctrl+C on Windows.");
        using Process process = Start("'started'; try { while ($true) { [System.Threading.Thread]::Sleep(10) } } finally { $Host.UI.WriteLine('cleaned up') }");
        Assert.Equal("started", await process.StandardOutput.ReadLineAsync());
        var watch = Stopwatch.StartNew();
        using (Process kill = Process.Start("kill", ["-INT", process.Id.ToString()]))
            await kill.WaitForExitAsync();
        string rest = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal("cleaned up\n", rest);
        Assert.Equal(130, process.ExitCode);
        Assert.True(watch.ElapsedMilliseconds < 2000, $"It took {watch.ElapsedMilliseconds} ms.");
    }

    /// <summary>The process as a whole: UTF-8, its exit code, no escape sequences and no progress when redirected.</summary>
    [Fact]
    public async Task RedirectedOutputIsPlain()
    {
        using Process process = Start("""
            function f { [CmdletBinding()] param() $PSCmdlet.WriteProgress([System.Management.Automation.ProgressRecord]::new(1, 'work', 'on it')) }
            f; '█ µ'; $PSStyle.Foreground.Red + 'red'; exit 6
            """);
        string output = await process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(("█ µ\nred\n", "", 6), (output.ReplaceLineEndings("\n"), error, process.ExitCode));
    }

    /// <summary>Command lines of pwsh are understood; an option that does not exist is refused.</summary>
    [Fact]
    public void CommandLineIsRead()
    {
        CommandLine file = CommandLine.Parse(["-NoLogo", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "a b.ps1", "-X", "-File"]);
        Assert.Equal((CommandLineAction.File, "a b.ps1"), (file.Action, file.Text));
        Assert.Equal(["-X", "-File"], file.ScriptArguments);
        Assert.Equal(CommandLineAction.File, CommandLine.Parse(["x.ps1", "-c", "y"]).Action);
        Assert.Equal("1+1", CommandLine.Parse(["-c", "1+1"]).Text);
        Assert.True(CommandLine.Parse(["-NonInteractive", "x.ps1"]).NonInteractive);
        Assert.Equal(CommandLineAction.Version, CommandLine.Parse(["--version"]).Action);
        Assert.Equal(CommandLineAction.Interactive, CommandLine.Parse([]).Action);
        Assert.Throws<CommandLineException>(() => CommandLine.Parse(["-NoSuchOption"]));
        Assert.Throws<CommandLineException>(() => CommandLine.Parse(["-File"]));
    }

    /// <summary>The list of commands in the host's README is the list of commands.</summary>
    [Fact]
    public void ReadmeListsTheCommands()
    {
        string readme = File.ReadAllText(Path.Combine(Scenarios.Folder, "..", "..", "src", "QuantPS.Host", "README.md"));
        string list = readme.ReplaceLineEndings("\n").Split("```\n").Single(block => block.StartsWith("Add-History", StringComparison.Ordinal));
        Shown shown = Run("(Get-Command -CommandType Cmdlet | ForEach-Object Name) -join ' '");
        Assert.Equal(list.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries), shown.Out.Trim().Split(' '));
    }

    /// <inheritdoc/>
    public void Dispose() => folder.Delete(recursive: true);

    private string Write(string script)
    {
        string path = Path.Combine(folder.FullName, "a.ps1");
        File.WriteAllText(path, script);
        return path;
    }

    private Shown Run(string script, string[]? arguments = null, string input = "")
    {
        StringWriter output = new() { NewLine = "\n" }, error = new() { NewLine = "\n" };
        using var runner = new ScriptRunner(new Terminal { Out = output, Error = error, In = new StringReader(input) });
        int exitCode = runner.RunFile(Write(script), arguments ?? []);
        return new Shown(exitCode, output.ToString().ReplaceLineEndings("\n"), error.ToString().ReplaceLineEndings("\n"));
    }

    private Process Start(string script)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "QuantPS.Host.dll"), Write(script)])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return Process.Start(start)!;
    }

    private sealed record Shown(int ExitCode, string Out, string Error);
}
