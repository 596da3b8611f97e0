using QuantPS.Pester.Runner;

namespace QuantPS.Pester;

/// <summary>The runner itself: what must fail fails, and what Pester's users know holds. The scripts are written to a temporary folder.</summary>
public sealed class RunnerTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("runner-");

    /// <summary>Whole files of which every test has to fail, with a part of the message.</summary>
    public static TheoryData<string, string, string> Hazards() => new()
    {
        { "false assertion", "It 'a' { 1 | Should -Be 2 }", "Expected 2, but got 1." },
        { "false negated assertion", "It 'a' { 1 | Should -Not -Be 1 }", "but got the same value" },
        { "assertion in a pipeline", "It 'a' { 1..3 | ForEach-Object { $_ | Should -BeLessThan 3 } }", "less than 3" },
        { "assertion in a function", "BeforeAll { function Test-It { 1 | Should -Be 2; 'on' } }; It 'a' { Test-It }", "Expected 2" },
        { "assertion in a loop", "It 'a' { foreach ($i in 1..3) { $i | Should -Be 1 } }", "Expected 1, but got 2." },
        { "last of several assertions", "It 'a' { 1 | Should -Be 1; 2 | Should -Be 1 }", "Expected 1, but got 2." },
        { "false assertion before a true one", "It 'a' { 2 | Should -Be 1; 1 | Should -Be 1 }", "Expected 1, but got 2." },
        { "reason", "It 'a' { 1 | Should -Be 2 -Because 'of the text' }", "Expected 2, because of the text, but got 1." },
        { "throw", "It 'a' { throw 'oh' }", "oh" },
        { "unknown command", "It 'a' { Get-Nothing; 1 | Should -Be 1 }", "Get-Nothing" },
        { "unknown command last", "It 'a' { Get-Nothing }", "Get-Nothing" },
        { "runtime error", "It 'a' { 1 / 0; 1 | Should -Be 1 }", "divide by zero" },
        { "method that throws", "It 'a' { [int]::Parse('x'); 1 | Should -Be 1 }", "Parse" },
        { "exit in a test", "It 'a' { exit 0 }", "ExitException" },
        { "break in a test", "It 'a' { break }", "BreakException" },
        { "continue in a test", "It 'a' { continue }", "ContinueException" },
        { "unknown operator", "It 'a' { 1 | Should -BeAwesome }", "BeAwesome" },
        { "unknown parameter of an operator", "It 'a' { 1 | Should -Be 1 -Foo }", "Foo" },
        { "parameter of another operator", "It 'a' { 1 | Should -BeTrue -ErrorId 'x' }", "Parameter set" },
        { "no operator", "It 'a' { 1 | Should }", "Parameter set" },
        { "two operators", "It 'a' { 1 | Should -BeTrue -BeNullOrEmpty }", "Parameter set" },
        { "operator switched off", "It 'a' { 1 | Should -BeTrue:$false }", "use -Not" },
        { "legacy syntax", "It 'a' { 1 | Should Be 1 }", "Be" },
        { "Mock", "It 'a' { Mock Get-Item { }; 1 | Should -Be 1 }", "Mock" },
        { "Mock in BeforeAll", "BeforeAll { Mock Get-Item { } }; It 'a' { }", "BeforeAll failed" },
        { "InModuleScope", "Describe 'd' { InModuleScope X { It 'a' { } }; It 'b' { } }", "InModuleScope" },
        { "unknown parameter of It", "It 'a' -Foo { }", "Foo" },
        { "unknown parameter of Describe", "Describe 'd' -Foo { It 'a' { } }", "Foo" },
        { "It without a body", "It 'a'", "No test scriptblock" },
        { "It with its brace on the next line", "It 'a'\n{ 1 | Should -Be 2 }", "No test scriptblock" },
        { "Describe without a body", "Describe 'a'", "no script block" },
        { "Describe without It", "It 'a' { } \n Describe 'd' { }", "no It" },
        { "empty file", "", "no It" },
        { "file without It", "BeforeAll { }", "no It" },
        { "parse error", "It 'a' { ", "Missing closing" },
        { "throw in the file", "It 'a' { } \n throw 'oh'", "oh" },
        { "throw in a Describe", "Describe 'd' { It 'a' { }; throw 'oh' }", "oh" },
        { "throw in BeforeDiscovery", "BeforeDiscovery { throw 'oh' }; It 'a' { }", "oh" },
        { "error in the file", "Get-Nothing\nIt 'a' { }", "Get-Nothing" },
        { "error in the file that does not terminate", "Import-Module ./nothing.psd1\nIt 'a' { }", "nothing.psd1" },
        { "error in a Describe that does not terminate", "Describe 'd' { Import-Module ./nothing.psd1; It 'a' { } }", "nothing.psd1" },
        { "exit in the file", "It 'a' { }\nexit 0", "ExitException" },
        { "Should in a Describe", "Describe 'd' { 1 | Should -Be 2; It 'a' { } }", "Expected 2" },
        { "throw in BeforeAll", "Describe 'd' { BeforeAll { throw 'oh' }; It 'a' { }; Context 'c' { It 'b' { } } }", "BeforeAll failed. RuntimeException: oh" },
        { "throw in BeforeAll of the file", "BeforeAll { throw 'oh' } Describe 'd' { It 'a' { }; It 'b' { } }", "oh" },
        { "throw in AfterAll", "Describe 'd' { AfterAll { throw 'oh' }; It 'a' { }; It 'b' { } }", "AfterAll failed. RuntimeException: oh" },
        { "throw in BeforeEach", "BeforeEach { throw 'oh' }; It 'a' { }; It 'b' { }", "BeforeEach failed" },
        { "throw in AfterEach", "AfterEach { throw 'oh' }; It 'a' { }; It 'b' { }", "AfterEach failed" },
        { "two BeforeAll in a block", "BeforeAll { }; BeforeAll { }; It 'a' { }", "only have one BeforeAll" },
        { "It in It", "It 'a' { It 'b' { } }", "only allowed in" },
        { "Describe in It", "It 'a' { Describe 'b' { It 'c' { } } }", "only allowed in" },
        { "BeforeAll in It", "It 'a' { BeforeAll { } }", "only allowed in" },
        { "empty -ForEach", "It 'a' -ForEach @() { } \n It 'b' { }", "can not be null or empty" },
        { "null -ForEach", "It 'a' -ForEach $null { } \n It 'b' { }", "can not be null or empty" },
        { "empty -ForEach of a block", "Describe 'd' -ForEach @() { It 'a' { } } \n It 'b' { }", "can not be null or empty" },
        { "same name twice", "It 'a' { } \n It 'a' { }", "more than one test named 'a'" },
        { "rows without a template", "It 'a' -ForEach 1, 2 { }", "more than one test named 'a'" },
        { "template of nothing", "It 'a <Nothing>' { }", "<Nothing>" },
        { "variable of a loop at discovery", "foreach ($i in 1, 2) { It \"a $i\" { $i | Should -Be 1 } }", "but got $null" },
        { "variable of a Describe at discovery", "Describe 'd' { $x = 1; It 'a' { $x | Should -Be 1 } }", "but got $null" },
        { "Set-ItResult outside of a test", "Set-ItResult -Skipped \n It 'a' { }", "only allowed in an It" },
        { "not a path", "It 'a' { 'no/such/file' | Should -Exist }", "to exist" },
        { "no exception", "It 'a' { { 1 } | Should -Throw }", "no exception was thrown" },
        { "an exception", "It 'a' { { throw 'oh' } | Should -Not -Throw }", "\"oh\" was thrown" },
        { "another message", "It 'a' { { throw 'oh' } | Should -Throw 'no*' }", "the message was 'oh'" },
        { "another id", "It 'a' { { throw 'oh' } | Should -Throw -ErrorId 'no' }", "FullyQualifiedErrorId was 'oh'" },
        { "another exception", "It 'a' { { throw 'oh' } | Should -Throw -ExceptionType ([System.ArgumentException]) }", "the exception type was" },
        { "no script block to throw", "It 'a' { 1 | Should -Throw }", "not a ScriptBlock" },
        { "bad pattern, negated", "It 'a' { 'x' | Should -Not -Match '[' }", "pattern" },
        { "things without an order, negated", "It 'a' { 'x' | Should -Not -BeGreaterThan ([version]'1.0') }", "" },
        { "NaN", "It 'a' { [double]::NaN | Should -BeGreaterThan 1 }", "NaN" },
        { "NaN is not itself", "It 'a' { [float]::NaN | Should -Be ([float]::NaN) }", "NaN" },
        { "element that differs", "It 'a' { 1, 2, 3 | Should -Be 1, 2, 4 }", "index 2" },
        { "element too few", "It 'a' { 1, 2 | Should -Be 1, 2, 3 }", "length 3" },
        { "one of many", "It 'a' { 1, 2 | Should -Be 1 }", "Expected 1" },
        { "nothing where something is expected", "It 'a' { $null | Should -Be 0 }", "Expected 0, but got $null." },
        { "something where nothing is expected", "It 'a' { 0 | Should -Be $null }", "Expected $null, but got 0." },
        { "case", "It 'a' { 'a' | Should -BeExactly 'A' }", "Strings differ at index 0" },
        { "strings", "It 'a' { 'abc' | Should -Be 'abd' }", "Strings differ at index 2" },
        { "one item of a pipeline", "It 'a' { $true, $false | Should -BeTrue }", "Expected $true, but got $false." },
        { "nothing is true", "It 'a' { @() | Should -BeTrue }", "Expected $true" },
        { "count", "It 'a' { 1, 2 | Should -HaveCount 3 }", "Expected a collection with size 3, but got collection with size 2 @(1, 2)." },
        { "count of nothing", "It 'a' { $null | Should -HaveCount 0; @() | Should -HaveCount 1 }", "" },
        { "type", "It 'a' { 1 | Should -BeOfType [string] }", "have type [System.String]" },
        { "type that does not exist", "It 'a' { 1 | Should -BeOfType 'No.Such.Type' }", "No.Such.Type" },
        { "member", "It 'a' { 1, 2 | Should -Contain 3 }", "to be found in collection @(1, 2)" },
        { "member, negated", "It 'a' { 1, 2 | Should -Not -Contain 2 }", "to not be found" },
        { "set", "It 'a' { 3 | Should -BeIn 1, 2 }", "Expected collection @(1, 2) to contain 3" },
        { "wildcard", "It 'a' { 'abc' | Should -BeLike 'b*' }", "like wildcard" },
        { "null or empty", "It 'a' { 'x' | Should -BeNullOrEmpty }", "Expected $null or empty, but got 'x'." },
        { "not null or empty", "It 'a' { '' | Should -Not -BeNullOrEmpty }", "Expected a value" },
    };

    /// <summary>Bodies of a test that has to pass.</summary>
    public static TheoryData<string> Truths() =>
    [
        "1 | Should -Be 1; Should -ActualValue 1 -Be 1; Should -Be 1 -ActualValue 1",
        "1 | Should -Be 1.0; 1.0 | Should -Be 1; '1' | Should -Be 1; 1 | Should -Be '1'; [float] 0.5 | Should -Be 0.5",
        "'ABC' | Should -Be 'abc'; 'abc' | Should -BeExactly 'abc'; 'ABC' | Should -Not -BeExactly 'abc'",
        "1, 2, 3 | Should -Be @(1, 2, 3); Should -ActualValue 1, 2, 3 -Be 1, 2, 3; , @(1, 2) | Should -Be @(1, 2) -Not",
        "@(, @(1, 2)) | Should -Be @(, @(1, 2)); [int[]] (1, 2) | Should -Be ([long[]] (1, 2))",
        "$null | Should -Be $null; @() | Should -Be $null; @($null) | Should -Be @(); $null | Should -Not -Be 0; '' | Should -Not -Be $null",
        "@{ a = 1 }.Keys | Should -Be 'a'; ([System.Collections.Generic.List[int]] (1, 2)) | Should -Be 1, 2",
        "$true | Should -BeTrue; 1 | Should -BeTrue; 'x' | Should -BeTrue; $false | Should -BeFalse; 0 | Should -BeFalse; $null | Should -BeFalse",
        "$true | Should -Not -BeFalse; $true, 1 | Should -BeTrue",
        "2 | Should -BeGreaterThan 1; 2 | Should -BeGreaterOrEqual 2; 1 | Should -BeLessThan 2; 2 | Should -BeLessOrEqual 2; 1 | Should -Not -BeGreaterThan 1",
        "2, 3 | Should -BeGreaterThan 1; 2 | Should -GT 1; 2 | Should -GE 2; 1 | Should -LT 2; 1 | Should -LE 1; 1 | Should -EQ 1",
        "'abc' | Should -BeLike 'A*'; 'abc' | Should -BeLikeExactly 'a*'; 'abc' | Should -Not -BeLikeExactly 'A*'; 'abc' | Should -Not -BeLike 'b*'",
        "'abc' | Should -Match '^A'; 'abc' | Should -MatchExactly '^a'; 'abc' | Should -Not -MatchExactly '^A'; 'abc' | Should -Not -Match 'd'",
        "1, 2 | Should -Contain 2; 'a', 'b' | Should -Contain 'B'; 1, 2 | Should -Not -Contain 3; 1 | Should -BeIn 1, 2; 3 | Should -Not -BeIn 1, 2",
        "1 | Should -BeOfType [int]; 1 | Should -BeOfType int; 1 | Should -BeOfType ([int]); 1 | Should -BeOfType System.ValueType; 1 | Should -Not -BeOfType [string]",
        "1, 2 | Should -BeOfType [int]; [pscustomobject] @{ PSTypeName = 'My.Type' } | Should -BeOfType 'My.Type'",
        "1, 2 | Should -HaveCount 2; @() | Should -HaveCount 0; 'x' | Should -HaveCount 1; Should -ActualValue @(1, 2) -HaveCount 2; 1 | Should -Not -HaveCount 2",
        "'' | Should -BeNullOrEmpty; $null | Should -BeNullOrEmpty; @() | Should -BeNullOrEmpty; @{} | Should -BeNullOrEmpty; 0 | Should -Not -BeNullOrEmpty; 1, 2 | Should -Not -BeNullOrEmpty",
        "{ throw 'oh no' } | Should -Throw; { throw 'oh no' } | Should -Throw 'oh*'; { throw 'oh no' } | Should -Throw -ExpectedMessage '*NO'; { } | Should -Not -Throw",
        "{ 1 / 0 } | Should -Throw -ExceptionType ([System.Management.Automation.RuntimeException]); { Get-Nothing } | Should -Throw -ErrorId 'CommandNotFoundException'",
        "{ throw [System.IO.IOException]::new('x') } | Should -Throw -ExceptionType ([System.IO.IOException]); { throw 'a[1]' } | Should -Throw 'a`[1`]'",
        "$e = { Import-Module ./nothing -ErrorAction Stop } | Should -Throw -PassThru; $e | Should -BeOfType [System.Management.Automation.ErrorRecord]",
        "{ Import-Module ./nothing 2>$null } | Should -Not -Throw; $x = 1; { $x | Should -Be 1 } | Should -Not -Throw; { 1 | Should -Be 2 } | Should -Throw 'Expected 2*'",
        "$PSScriptRoot | Should -Exist; $PSCommandPath | Should -BeLike '*.Tests.ps1'; \"$PSScriptRoot/nothing\" | Should -Not -Exist",
        "Import-Module ./nothing 2>$null; try { Get-Nothing } catch { $caught = $_ }; $caught | Should -Not -BeNullOrEmpty",
        "1..3 | ForEach-Object { if ($_ -eq 2) { return }; $_ | Should -Not -Be 2 }; foreach ($i in 1..3) { if ($i -eq 2) { break } }; $i | Should -Be 2",
        "[System.IO.File]::WriteAllText(\"$TestDrive/a b.txt\", 'x'); 'TestDrive:\\a b.txt' | Should -Exist; 'TestDrive:/*.txt' | Should -Exist; $TestDrive | Should -Exist",
    ];

    /// <summary>What must not pass does not.</summary>
    [Theory]
    [MemberData(nameof(Hazards))]
    public void Hazard(string hazard, string script, string message)
    {
        PesterFile file = Write(script);
        Assert.True(file.Tests.Count > 0, hazard);
        Assert.All(file.Tests, test =>
        {
            PesterResult result = file.Result(test.Index);
            Assert.Equal(TestOutcome.Failed, result.Outcome);
            Assert.Contains(message, result.Message, StringComparison.Ordinal);
        });
    }

    /// <summary>What holds in Pester holds here.</summary>
    [Theory]
    [MemberData(nameof(Truths))]
    public void Truth(string body)
    {
        PesterFile file = Write($"It 'a' {{ {body} }}");
        PesterResult result = file.Result(Assert.Single(file.Tests).Index);
        Assert.True(result.Outcome == TestOutcome.Passed, result.Message);
    }

    /// <summary>A message says which line of which file.</summary>
    [Fact]
    public void FailureNamesItsPlace()
    {
        PesterFile file = Write("Describe 'd' {\n    It 'a' {\n        1 | Should -Be 2\n    }\n}");
        string message = file.Result(0).Message;
        Assert.Contains("at 1 | Should -Be 2", message, StringComparison.Ordinal);
        Assert.Contains("a.Tests.ps1: line 3", message, StringComparison.Ordinal);
    }

    /// <summary>What a failing test wrote is shown with it; errors that do not terminate do not fail a test.</summary>
    [Fact]
    public void OutputIsShownWithTheFailure()
    {
        PesterFile file = Write("It 'a' { Import-Module ./nothing; $Host.UI.WriteLine('hello'); 1 | Should -Be 2 }\nIt 'b' { Import-Module ./nothing }");
        Assert.Contains("hello", file.Result(0).Message, StringComparison.Ordinal);
        Assert.Contains("nothing", file.Result(0).Message, StringComparison.Ordinal);
        Assert.Equal(TestOutcome.Passed, file.Result(1).Outcome);
    }

    /// <summary>Only the failing test fails.</summary>
    [Fact]
    public void TestsAreIndependent()
    {
        PesterFile file = Write("Describe 'd' { It 'a' { 1 | Should -Be 2 }; It 'b' { }; Context 'c' { BeforeAll { throw 1 }; It 'e' { } }; It 'f' { } }");
        Assert.Equal(["d.a", "d.b", "d.c.e", "d.f"], file.Tests.Select(t => t.Name));
        Assert.Equal([TestOutcome.Failed, TestOutcome.Passed, TestOutcome.Failed, TestOutcome.Passed],
            file.Tests.Select(t => file.Result(t.Index).Outcome));
    }

    /// <summary>Names are filled in from the rows, at discovery.</summary>
    [Fact]
    public void TemplatesNameTheRows()
    {
        PesterFile file = Write("""
            BeforeDiscovery { $rows = @{ N = 1; P = @{ Q = 'x' }; L = 5, 6 }, @{ N = $null; P = @{ Q = 'y' }; L = 7, 8 } }
            Describe '<_> of <_>' -ForEach 'd' {
                It '<_.N> <N> <P.Q> <L[1]> a < b' -ForEach $rows { $P.Q | Should -BeIn 'x', 'y'; $L | Should -HaveCount 2 }
                It 'at the run <Later>' { $Later | Should -Be 3 }
                BeforeAll { $Later = 3 }
            }
            """);
        Assert.Equal(["d of d.1 1 x 6 a < b", "d of d.$null $null y 8 a < b", "d of d.at the run <Later>"], file.Tests.Select(t => t.Name));
        Assert.All(file.Tests, t => Assert.True(file.Result(t.Index).Outcome == TestOutcome.Passed, file.Result(t.Index).Message));
    }

    /// <summary>Who sees whose variables.</summary>
    [Fact]
    public void ScopesNest()
    {
        PesterFile file = Write("""
            BeforeAll { $a = 'file'; $list = [System.Collections.Generic.List[string]]::new() }
            Describe 'd' {
                BeforeAll { $b = "$a+d"; $a = 'inner'; $list.Add('BA') }
                BeforeEach { $c = 'each'; $list.Add("BE $($_)") }
                AfterEach { $list.Add("AE $own") }
                AfterAll { $list.Add('AA') }
                It 'one' { "$a $b $c" | Should -Be 'inner file+d each'; $a = 'mine'; $own = 'own' }
                It 'two <_>' -ForEach 'row' { $a | Should -Be 'inner'; $own | Should -BeNullOrEmpty; $_ | Should -Be 'row' }
                Context 'c' {
                    BeforeAll { $deep = $true }
                    BeforeEach { $list.Add('BE2') }
                    It 'three' { "$b $deep $c" | Should -Be 'file+d True each' }
                }
            }
            Describe 'e' {
                It 'four' {
                    $a | Should -Be 'file'
                    $b | Should -BeNullOrEmpty
                    $deep | Should -BeNullOrEmpty
                    $list -join ',' | Should -Be 'BA,BE ,AE own,BE row,AE ,BE ,BE2,AE ,AA'
                }
            }
            """);
        Assert.All(file.Tests, t => Assert.True(file.Result(t.Index).Outcome == TestOutcome.Passed, t.Name + ": " + file.Result(t.Index).Message));
        Assert.Equal(4, file.Tests.Count);
    }

    /// <summary>The body of a Describe runs at discovery, the body of an It does not; BeforeAll runs once.</summary>
    [Fact]
    public void TwoPhases()
    {
        string log = Path.Combine(folder.FullName, "log").Replace('\\', '/');
        PesterFile file = Write($$"""
            function Add-Log($text) { [System.IO.File]::AppendAllText('{{log}}', $text) }
            BeforeAll { function Add-Log($text) { [System.IO.File]::AppendAllText('{{log}}', $text) } ; Add-Log 'B' }
            Describe 'd' { Add-Log 'D'; It 'a' { Add-Log '1' }; It 'b' { Add-Log '2' } }
            """);
        Assert.Equal(2, file.Tests.Count);
        Assert.Equal("D", File.ReadAllText(log));
        Assert.Equal(TestOutcome.Passed, file.Result(1).Outcome);
        Assert.Equal(TestOutcome.Passed, file.Result(0).Outcome);
        Assert.Equal("DB12", File.ReadAllText(log));
    }

    /// <summary>Skipping: by parameter, of a block, from inside; BeforeAll of a block that is skipped does not run.</summary>
    [Fact]
    public void SkippedTests()
    {
        PesterFile file = Write("""
            Describe 'd' -Skip { BeforeAll { throw 'must not run' }; It 'a' { throw 'oh' } }
            Describe 'e' {
                It 'b' -Skip { throw 'oh' }
                It 'c' { Set-ItResult -Skipped -Because 'there is no camera'; throw 'oh' }
                It 'f' -Skip:$false { }
                It 'g' -Tag 'slow', 'big' { }
            }
            """);
        Assert.Equal([TestOutcome.Skipped, TestOutcome.Skipped, TestOutcome.Skipped, TestOutcome.Passed, TestOutcome.Passed],
            file.Tests.Select(t => file.Result(t.Index).Outcome));
        Assert.Contains("there is no camera", file.Result(2).Message, StringComparison.Ordinal);
        Assert.Equal(["slow", "big"], file.Tests[4].Tags);
    }

    /// <summary>A test that has failed stays failed when it then says that it is skipped, and so does one whose block fails later.</summary>
    [Fact]
    public void FailuresStay()
    {
        PesterFile file = Write("Describe 'd' { AfterEach { Set-ItResult -Skipped }; It 'a' { 1 | Should -Be 2 } }");
        Assert.Equal(TestOutcome.Failed, file.Result(0).Outcome);
    }

    /// <summary>TestDrive is one folder, emptied of what a block added, and gone after the run.</summary>
    [Fact]
    public void TestDriveIsCleanedUp()
    {
        string log = Path.Combine(folder.FullName, "log").Replace('\\', '/');
        PesterFile file = Write($$"""
            BeforeAll {
                function New-File($name) { [System.IO.File]::WriteAllText("$TestDrive/$name", 'x') }
                [System.IO.File]::WriteAllText('{{log}}', $TestDrive)
                New-File 'file'
            }
            Describe 'd' {
                BeforeAll { New-File 'd' }
                It 'a' { New-File 'a'; 'TestDrive:/file', 'TestDrive:/d', 'TestDrive:/a' | Should -Exist }
                Context 'c' { It 'b' { 'TestDrive:/a' | Should -Exist; New-File 'b' } }
                It 'e' { 'TestDrive:/b' | Should -Not -Exist; 'TestDrive:/a' | Should -Exist }
            }
            Describe 'f' { It 'g' { 'TestDrive:/file' | Should -Exist; 'TestDrive:/d', 'TestDrive:/a' | Should -Not -Exist } }
            """);
        Assert.All(file.Tests, t => Assert.True(file.Result(t.Index).Outcome == TestOutcome.Passed, t.Name + ": " + file.Result(t.Index).Message));
        Assert.False(Directory.Exists(File.ReadAllText(log)));
    }

    /// <inheritdoc/>
    public void Dispose() => folder.Delete(recursive: true);

    private PesterFile Write(string script)
    {
        string path = Path.Combine(folder.FullName, "a.Tests.ps1");
        File.WriteAllText(path, script);
        return new PesterFile(path);
    }
}
