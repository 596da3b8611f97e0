BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    [System.IO.File]::WriteAllText("$TestDrive/text.npy", 'this is no array at all')
    [System.IO.File]::WriteAllBytes("$TestDrive/cut-ubyte", [byte[]] (0, 0, 8, 1, 0, 0, 0, 9, 1, 2))
    [System.IO.File]::WriteAllText("$TestDrive/notes.md", 'hello there')
    New-Tensor 1 -Fill 7 | Export-Tensor "$TestDrive/good.npy" -Force
}

Describe 'A bad record' {
    It 'does not end the pipeline' {
        $errors = @()
        $good = @("$TestDrive/text.npy", "$TestDrive/none.npy", "$TestDrive/good.npy", "$TestDrive/cut-ubyte" | Import-Tensor -ErrorAction SilentlyContinue -ErrorVariable errors)
        $good.Count | Should -Be 1
        $good[0][0] | Should -Be 7
        $errors | ForEach-Object { $_.FullyQualifiedErrorId.Split(',')[0] } | Should -Be 'FileFormat', 'FileNotFound', 'FileTruncated'
        $errors | ForEach-Object { "$($_.CategoryInfo.Category)" } | Should -Be 'InvalidData', 'ObjectNotFound', 'InvalidData'
        $errors[0].TargetObject | Should -BeLike '*text.npy'
    }

    It 'has the tensor as its target' {
        $a = New-Tensor 2,2 -Fill 1; $b = New-Tensor 3,2 -Fill 1
        $errors = @()
        $done = @($b, $a | ConvertTo-Quantized -Scale 1,1 -Axis 0 -ErrorAction SilentlyContinue -ErrorVariable errors)
        $done.Count | Should -Be 1
        @($errors).Count | Should -Be 1
        [object]::ReferenceEquals($errors[0].TargetObject, $b) | Should -BeTrue
    }
}

Describe 'Each error has its id' {
    It '<Id>: <Script>' -ForEach @(
        @{ Id = 'InvalidShape'; Script = { New-Tensor 1,-2 -ErrorAction Stop } }
        @{ Id = 'ShapeMismatch'; Script = { New-Tensor 2,2 -Value 1,2,3 -ErrorAction Stop } }
        @{ Id = 'InvalidScale'; Script = { New-Tensor 1 | ConvertTo-Quantized -Scale 0 -ErrorAction Stop } }
        @{ Id = 'InvalidScale'; Script = { New-Tensor 1 | ConvertTo-Quantized -Scale ([float]::NaN) -ErrorAction Stop } }
        @{ Id = 'ZeroPointOutOfRange'; Script = { New-Tensor 1 | ConvertTo-Quantized -Scale 1 -ZeroPoint 256 -ErrorAction Stop } }
        @{ Id = 'InvalidArgument'; Script = { New-Tensor 1 | ConvertTo-Quantized -Scale 1,2 -ErrorAction Stop } }
        @{ Id = 'InvalidArgument'; Script = { New-QuantizedTensor -IntRepr 300 -Shape 1 -Scale 1 -ErrorAction Stop } }
        @{ Id = 'InvalidShape'; Script = { New-Tensor 2,2 | ConvertTo-Quantized -Scale 1,2 -Axis 5 -ErrorAction Stop } }
        @{ Id = 'FileNotFound'; Script = { Import-Tensor "$TestDrive/n*.xyz" -ErrorAction Stop } }
        @{ Id = 'FileNotFound'; Script = { Import-Tensor 'NoSuchDrive:/a.npy' -ErrorAction Stop } }
        @{ Id = 'FileUnreadable'; Script = { Import-Tensor "$TestDrive" -ErrorAction Stop } }
        @{ Id = 'FileFormat'; Script = { Import-Tensor "$TestDrive/notes.md" -ErrorAction Stop } }
        @{ Id = 'InvalidArgument'; Script = { Import-Tensor "$TestDrive/good.npy" -Scale 0 -ErrorAction Stop } }
        @{ Id = 'InvalidArgument'; Script = { Import-Tensor 'Env:/PATH' -ErrorAction Stop } }
    ) {
        $Script | Should -Throw -ErrorId "$Id,*"
    }
}

Describe 'What makes every record impossible' {
    It 'ends the command at once' {
        $errors = @()
        { "$TestDrive/good.npy", "$TestDrive/good.npy" | Import-Tensor -Std 0 } | Should -Throw -ErrorId 'InvalidArgument,*'
    }
}

Describe 'Ctrl+C' {
    It 'stops within a moment' {
        # 60,000 images of zeros, read over and over.
        $file = "$TestDrive/many-ubyte.gz"
        $stream = [System.IO.Compression.GZipStream]::new([System.IO.File]::Create($file), [System.IO.Compression.CompressionLevel]::Fastest)
        $stream.Write([byte[]] (0, 0, 8, 3, 0, 0, 234, 96, 0, 0, 0, 28, 0, 0, 0, 28))
        $block = [byte[]]::new(784 * 1000)
        foreach ($i in 1..60) { $stream.Write($block) }
        $stream.Dispose()
        $shell = [powershell]::Create([System.Management.Automation.Runspaces.InitialSessionState]::CreateDefault2())
        try {
            $null = $shell.AddScript("Import-Module '$PSScriptRoot/../../QuantPS.psd1'; while (`$true) { `$n = Import-Tensor '$file' -BatchSize 60000 }")
            $running = $shell.BeginInvoke()
            $deadline = [System.DateTime]::UtcNow.AddSeconds(1.5)
            while ([System.DateTime]::UtcNow -lt $deadline -and -not $running.IsCompleted) { [System.Threading.Thread]::Sleep(20) }
            $running.IsCompleted | Should -BeFalse
            $clock = [System.Diagnostics.Stopwatch]::StartNew()
            $shell.Stop()
            $clock.ElapsedMilliseconds | Should -BeLessThan 1000
            "$($shell.InvocationStateInfo.State)" | Should -Be 'Stopped'
        }
        finally { $shell.Dispose() }
    }
}
