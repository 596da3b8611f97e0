BeforeDiscovery {
    $sums = @(
        @{ A = 1; B = 2; Sum = 3 }
        @{ A = -1; B = 1; Sum = 0 }
    )
}

BeforeAll {
    function Get-Double([int] $Value) { $Value * 2 }
    $outer = 'file'
}

Describe 'The runner' {
    BeforeAll {
        $inner = 'block'
        $log = [System.Collections.Generic.List[string]]::new()
    }

    BeforeEach { $log.Add('before'); $fresh = 0 }

    AfterEach { $log.Add('after') }

    It 'sees functions and variables of every BeforeAll around it' {
        Get-Double 21 | Should -Be 42
        "$outer $inner" | Should -BeExactly 'file block'
        $fresh++
        $fresh | Should -Be 1
    }

    It 'starts every test afresh' {
        $fresh | Should -Be 0
        $log | Should -Be 'before', 'after', 'before'
    }

    It 'adds <A> and <B> to <Sum>' -ForEach $sums {
        $A + $B | Should -Be $Sum
        $_.Sum | Should -Be $Sum
    }

    Context 'with <_>' -ForEach 'x', 'y' {
        It 'has the item of the block' {
            $_ | Should -BeIn 'x', 'y'
            $inner | Should -Be 'block'
        }
    }
}

Describe 'TestDrive' {
    It 'is a folder and a drive' {
        [System.IO.File]::WriteAllText("$TestDrive/a.txt", 'text')
        'TestDrive:/a.txt' | Should -Exist
        "$TestDrive/a.txt" | Should -Exist
        "$TestDrive/b.txt" | Should -Not -Exist
    }
}

Describe 'TestDrive of the next block' {
    It 'is empty again' { "$TestDrive/a.txt" | Should -Not -Exist }
}

Describe 'Should' {
    It 'compares collections element by element' {
        1, 2, 3 | Should -Be 1, 2, 3
        @() | Should -BeNullOrEmpty
        , @(1, 2) | Should -HaveCount 1
        'a', 'b' | Should -Contain 'B'
    }

    It 'looks into exceptions' {
        { throw [System.ArgumentException]::new('bad [x]') } | Should -Throw -ExpectedMessage 'bad*' -ExceptionType ([System.ArgumentException])
        $caught = { throw 'text' } | Should -Throw -PassThru
        $caught.Exception.Message | Should -Be 'text'
        { 1 } | Should -Not -Throw
    }
}
