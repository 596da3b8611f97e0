# A folder of models at a time.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $models = [IO.Directory]::CreateDirectory("$TestDrive/models").FullName
    New-Conv2d 3 8 3 -Seed 1 -Name 'a' | Export-QModel "$models/a.onnx"
    New-Conv2d 3 4 1 -Seed 2 -Name 'b' | Export-QModel "$models/b.onnx"
    New-Conv2d 3 16 5 -Seed 3 -Name 'c' | Export-QModel "$models/c.onnx"
    $mixed = [IO.Directory]::CreateDirectory("$TestDrive/mixed").FullName
    foreach ($name in 'a', 'c') { [IO.File]::Copy("$models/$name.onnx", "$mixed/$name.onnx") }
    [IO.File]::WriteAllText("$mixed/b.onnx", 'not a model')
    $x = 1..4 | ForEach-Object { New-Tensor -Shape 2, 3, 12, 12 -Random -Seed $_ }
    function Get-Bytes ([string] $File) { [Convert]::ToBase64String([IO.File]::ReadAllBytes($File)) }
    function Get-Name ([string] $Folder) { [IO.Directory]::GetFileSystemEntries($Folder) | ForEach-Object { [IO.Path]::GetFileName($_) } | Sort-Text }
    function Sort-Text { [Linq.Enumerable]::Order([string[]] @($input), [StringComparer]::Ordinal) }
}

Describe 'A job over three models' {
    BeforeAll {
        # The folder above does not exist either.
        $out = "$TestDrive/new/deep"
        $results = @(Invoke-QuantizationJob -Path "$models/*.onnx" -Destination $out -Data $x -QConfig fbgemm)
    }

    It 'gives one result a model, in order' {
        $results.Model | Should -Be 'a', 'b', 'c'
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Done', 'Done'
        $results[1].Source | Should -Be ([IO.Path]::GetFullPath("$models/b.onnx"))
        $results[1].Destination | Should -Be ([IO.Path]::GetFullPath("$out/b.onnx"))
    }

    It 'makes the folder, and leaves nothing in it but the models' { Get-Name $out | Should -Be 'a.onnx', 'b.onnx', 'c.onnx' }

    It 'writes what the single commands write' {
        $q = $x | Invoke-Calibration -Model "$models/c.onnx" -QConfig fbgemm | ConvertTo-Quantized
        $q | Export-QModel "$TestDrive/single.onnx"
        Get-Bytes "$out/c.onnx" | Should -Be (Get-Bytes "$TestDrive/single.onnx")
        $results[2].Quantized | Should -Be $q.Quantized
    }

    It 'tells the error against the float model, as Compare-QModel has it' {
        $q = $x | Invoke-Calibration -Model "$models/a.onnx" -QConfig fbgemm | ConvertTo-Quantized
        $compared = @($x | Compare-QModel -Model $q)[-1]
        $results[0].SqnrDb | Should -Be $compared.SqnrDb
        $results[0].MaxError | Should -Be $compared.MaxError
        $results[0].Cosine | Should -Be $compared.Cosine
        $results[0].SqnrDb | Should -BeGreaterThan 20
        $results[0].Samples | Should -Be 8
    }

    It 'tells sizes and time' {
        $results[2].FloatSizeBytes | Should -Be ([IO.FileInfo]::new("$models/c.onnx").Length)
        $results[2].SizeBytes | Should -Be ([IO.FileInfo]::new("$out/c.onnx").Length)
        $results[2].Elapsed.TotalMilliseconds | Should -BeGreaterThan 0
    }

    It 'has a view' { $results | Out-String | Should -Match 'Model +Status +Quantized +SQNR dB +Max error' }

    It 'skips what is there, and does not touch it' {
        $time = [DateTime]::new(2020, 1, 1)
        foreach ($name in 'a', 'b', 'c') { [IO.File]::SetLastWriteTimeUtc("$out/$name.onnx", $time) }
        [IO.File]::Delete("$out/b.onnx")
        $again = @(Invoke-QuantizationJob -Path "$models/*.onnx" -Destination $out -Data $x -QConfig fbgemm)
        $again | ForEach-Object { "$($_.Model) $($_.Status)" } | Should -Be 'a Skipped', 'b Done', 'c Skipped'
        [IO.File]::GetLastWriteTimeUtc("$out/a.onnx") | Should -Be $time
        $again[0].SqnrDb | Should -BeNullOrEmpty
    }

    It 'makes all anew with -Force' {
        [IO.File]::WriteAllText("$out/a.onnx", 'old')
        $again = @(Invoke-QuantizationJob -Path "$models/*.onnx" -Destination $out -Data $x -QConfig fbgemm -Force)
        $again | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Done', 'Done'
        [IO.FileInfo]::new("$out/a.onnx").Length | Should -Be $results[0].SizeBytes
        Get-Name $out | Should -Be 'a.onnx', 'b.onnx', 'c.onnx'
    }

    It 'gives the same files two at a time' {
        $two = @(Invoke-QuantizationJob -Path "$models/*.onnx" -Destination "$TestDrive/two" -Data $x -QConfig fbgemm -ThrottleLimit 2)
        $two.Model | Sort-Text | Should -Be 'a', 'b', 'c'
        $one = @(Invoke-QuantizationJob -Path "$models/*.onnx" -Destination "$TestDrive/one" -Data $x -QConfig fbgemm)
        foreach ($name in 'a', 'b', 'c') { Get-Bytes "$TestDrive/two/$name.onnx" | Should -Be (Get-Bytes "$TestDrive/one/$name.onnx") }
        foreach ($r in $one) { @($two | Where-Object Model -EQ $r.Model).SqnrDb | Should -Be $r.SqnrDb }
    }
}

Describe 'A bad model among good ones' {
    It 'is an error and a failed result, and the others are done, <_> at a time' -ForEach 1, 2 {
        $problems = @()
        $results = @(Invoke-QuantizationJob "$mixed/*.onnx" "$TestDrive/mixed$_" $x -ThrottleLimit $_ -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results | ForEach-Object { "$($_.Model) $($_.Status)" } | Sort-Text | Should -Be 'a Done', 'b Failed', 'c Done'
        $failed = @($results | Where-Object Status -EQ Failed)
        $failed.Error | Should -BeLike '*b.onnx*'
        $failed.SizeBytes | Should -BeNullOrEmpty
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'NotAnOnnxModel,*'
        $problems[0].TargetObject | Should -BeLike '*b.onnx'
        Get-Name "$TestDrive/mixed$_" | Should -Be 'a.onnx', 'c.onnx'
    }

    It 'ends the job with -ErrorAction Stop, and leaves nothing half-written' {
        { Invoke-QuantizationJob "$mixed/*.onnx" "$TestDrive/stop" $x -ErrorAction Stop } | Should -Throw '*b.onnx*'
        Get-Name "$TestDrive/stop" | Should -Be 'a.onnx'
    }

    It 'ends the others too with -ErrorAction Stop, two at a time' {
        $slow = [IO.Directory]::CreateDirectory("$TestDrive/slow").FullName
        [IO.File]::Copy("$models/a.onnx", "$slow/a.onnx")
        [IO.File]::WriteAllText("$slow/b.onnx", 'not a model')
        $many = @(1..20000 | ForEach-Object { $x[0] })
        { Invoke-QuantizationJob "$slow/*.onnx" "$TestDrive/slowout" $many -ThrottleLimit 2 -ErrorAction Stop } | Should -Throw '*b.onnx*'
        [IO.Directory]::Exists("$TestDrive/slowout") | Should -BeFalse
    }

    It 'for whose input the data does not fit, fails alone' {
        $wide = [IO.Directory]::CreateDirectory("$TestDrive/wide").FullName
        New-Conv2d 5 4 3 -Seed 4 -Name 'wide' | Export-QModel "$wide/wide.onnx"
        $problems = @()
        $results = @(Invoke-QuantizationJob -Path "$wide/wide.onnx", "$models/a.onnx" -Destination "$TestDrive/fit" -Data $x -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Failed', 'Done'
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'ShapeMismatch,*'
        # The fault is a tensor's, the error the model's.
        $problems[0].TargetObject | Should -BeLike '*wide.onnx'
        "$($problems[0])" | Should -BeLike 'wide: *'
    }

    It 'when all are bad, no folder is made' {
        $null = Invoke-QuantizationJob "$mixed/b.onnx" "$TestDrive/none" $x -ErrorAction SilentlyContinue
        [IO.Directory]::Exists("$TestDrive/none") | Should -BeFalse
    }
}

Describe 'What a job takes' {
    It 'nothing is done under -WhatIf, not even a folder' {
        Invoke-QuantizationJob "$models/*.onnx" "$TestDrive/whatif" $x -WhatIf | Should -BeNullOrEmpty
        [IO.Directory]::Exists("$TestDrive/whatif") | Should -BeFalse
    }

    It 'files from the pipeline, taken letter by letter' {
        [IO.File]::Copy("$models/a.onnx", "$TestDrive/[1].onnx")
        $results = @([IO.FileInfo]::new("$TestDrive/[1].onnx"), [IO.FileInfo]::new("$models/b.onnx") | Invoke-QuantizationJob -Destination "$TestDrive/piped" -Data $x)
        $results | ForEach-Object { "$($_.Model) $($_.Status)" } | Should -Be '[1] Done', 'b Done'
        Get-Name "$TestDrive/piped" | Should -Be '[1].onnx', 'b.onnx'
        @(Invoke-QuantizationJob -LiteralPath "$TestDrive/[1].onnx" -Destination "$TestDrive/piped" -Data $x).Status | Should -Be 'Skipped'
    }

    It 'a path that names nothing is an error, and the next one counts' {
        $problems = @()
        $results = @(Invoke-QuantizationJob "$models/no*.onnx", "$models/a.onnx" "$TestDrive/gone" $x -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results.Model | Should -Be 'a'
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'FileNotFound,*'
    }

    It 'data from files, the same as tensors' {
        $x[0] | Export-Tensor "$TestDrive/x.npy"
        $null = Invoke-QuantizationJob "$models/a.onnx" "$TestDrive/fromfile" "$TestDrive/x.npy"
        $null = Invoke-QuantizationJob "$models/a.onnx" "$TestDrive/fromtensor" $x[0]
        Get-Bytes "$TestDrive/fromfile/a.onnx" | Should -Be (Get-Bytes "$TestDrive/fromtensor/a.onnx")
    }

    It 'a script block that gives each model its data' {
        $asked = [Collections.Generic.List[string]]::new()
        $results = @(Invoke-QuantizationJob "$models/[ab].onnx" "$TestDrive/script" { $asked.Add($_.Name); if ($_.BaseName -eq 'a') { $x } else { throw 'no data for b' } } -ErrorAction SilentlyContinue)
        $asked | Should -Be 'a.onnx', 'b.onnx'
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Failed'
        $results[1].Error | Should -BeLike '*no data for b*'
    }

    It 'data that are none are refused at once' {
        { Invoke-QuantizationJob "$models/a.onnx" "$TestDrive/nodata" 5 } | Should -Throw '*-Data takes tensors*Int32*'
        { Invoke-QuantizationJob "$models/a.onnx" "$TestDrive/nodata" "$TestDrive/nothing.npy" } | Should -Throw '*nothing.npy*'
    }

    It 'a file in place of the destination is refused at once' {
        { Invoke-QuantizationJob "$models/a.onnx" "$models/b.onnx" $x } | Should -Throw '*is a file*'
    }

    It 'models are never replaced by their quantized form' {
        $before = Get-Bytes "$models/a.onnx"
        $problems = @()
        $results = @(Invoke-QuantizationJob "$models/a.onnx" $models $x -Force -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results[0].Status | Should -Be 'Failed'
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'InvalidArgument,*'
        $linked = [IO.Directory]::CreateSymbolicLink("$TestDrive/link", $models).FullName
        @(Invoke-QuantizationJob "$models/a.onnx" $linked $x -Force -ErrorAction SilentlyContinue).Status | Should -Be 'Failed'
        Get-Bytes "$models/a.onnx" | Should -Be $before
    }

    It 'two models of one name: the second is refused; the same file twice is done once' {
        $problems = @()
        $results = @(Invoke-QuantizationJob "$models/a.onnx", "$models/a.onnx", "$mixed/a.onnx" "$TestDrive/same" $x -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Failed'
        $problems[0].Exception.Message | Should -BeLike '*same name*'
    }
}

Describe 'The form and the options of a job' {
    It '<Format> files with options are what the single commands write' -ForEach @(
        @{ Format = 'QDQ'; Option = @{ PerChannel = $false; WeightPair = $true } }
        @{ Format = 'QOperator'; Option = @{ ActivationDType = 'qint8'; symmetricactivation = $true } }
    ) {
        $results = @(Invoke-QuantizationJob "$models/*.onnx" "$TestDrive/form$Format" $x -QConfig onnxruntime -Format $Format -Option $Option)
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Done', 'Done'
        $x | Invoke-Calibration "$models/b.onnx" -QConfig onnxruntime | ConvertTo-Quantized @Option | Export-QModel "$TestDrive/form-$Format.onnx" -Format $Format
        Get-Bytes "$TestDrive/form$Format/b.onnx" | Should -Be (Get-Bytes "$TestDrive/form-$Format.onnx")
        (Import-QModel "$TestDrive/form$Format/b.onnx").Arithmetic | Should -Be $Format
    }

    It 'a script block gives each model its options' {
        $results = @(Invoke-QuantizationJob "$models/[ab].onnx" "$TestDrive/each" $x -Option { if ($_.BaseName -eq 'a') { @{ WeightDType = 'quint8' } } } -QConfig onnxruntime)
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Done', 'Done'
        $null = Invoke-QuantizationJob "$models/[ab].onnx" "$TestDrive/plain" $x -QConfig onnxruntime
        Get-Bytes "$TestDrive/each/b.onnx" | Should -Be (Get-Bytes "$TestDrive/plain/b.onnx")
        Get-Bytes "$TestDrive/each/a.onnx" | Should -Not -Be (Get-Bytes "$TestDrive/plain/a.onnx")
    }

    It 'what fits one model only fails for the others alone' {
        $problems = @()
        $results = @(Invoke-QuantizationJob "$models/[ab].onnx" "$TestDrive/one-of-two" $x -Option { if ($_.BaseName -eq 'a') { @{ ExcludeNode = 'nothing*' } } } -ErrorAction SilentlyContinue -ErrorVariable problems)
        $results | ForEach-Object { "$($_.Status)" } | Should -Be 'Failed', 'Done'
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'LayerNotFound,*'
        Get-Name "$TestDrive/one-of-two" | Should -Be 'b.onnx'
    }

    It 'a slip is refused at once: <Words>' -ForEach @(
        @{ Option = @{ PerChanel = $true }; Words = "*no 'PerChanel'*Known: *PerChannel*" }
        @{ Option = @{ WeightDType = 'qint9' }; Words = "*'qint9' is not one of*" }
        @{ Option = @{ MinimumRealRange = -1 }; Words = '*above 0*' }
        @{ Option = 5; Words = '*-Option takes a hashtable*Int32*' }
    ) {
        { Invoke-QuantizationJob "$models/*.onnx" "$TestDrive/slip" $x -Option $Option } | Should -Throw $Words
        [IO.Directory]::Exists("$TestDrive/slip") | Should -BeFalse
    }
}

Describe 'Completion of a job' {
    It 'offers the presets' {
        $line = 'Invoke-QuantizationJob -QConfig o'
        [Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches.CompletionText | Should -Contain 'onednn'
    }
}

Describe 'The example' {
    It 'quantizes three models, and skips them the second time' {
        $shown = & "$PSScriptRoot/../../module/examples/model-folder.ps1" -Images 32 -ThrottleLimit 2 -Destination "$TestDrive/example"
        @($shown)[-1] | Should -Be '3 models done the first time, 3 skipped the second'
        Get-Name "$TestDrive/example" | Should -Be 'edges.onnx', 'fmnist-mobile-bn.onnx', 'fmnist-resnet8-bn.onnx'
    }
}

Describe 'Stopping a job' {
    It 'does not wait for the end of a batch' {
        $net = "$PSScriptRoot/../../module/examples/data/fmnist-resnet8-bn.onnx"
        # One batch, seconds of work.
        $batch = New-Tensor -Shape 3000, 1, 28, 28 -Random -Seed 1
        $clock = [Diagnostics.Stopwatch]::StartNew()
        $null = $batch | Invoke-Calibration $net
        $whole = $clock.ElapsedMilliseconds
        $shell = [PowerShell]::Create([Management.Automation.Runspaces.InitialSessionState]::CreateDefault2()).AddCommand('Import-Module').AddArgument("$PSScriptRoot/../../QuantPS.psd1")
        $null = $shell.Invoke()
        foreach ($command in 'Invoke-QuantizationJob', 'Invoke-Calibration') {
            $shell.Commands.Clear()
            $null = if ($command -eq 'Invoke-QuantizationJob') { $shell.AddCommand($command).AddParameter('Path', $net).AddParameter('Destination', "$TestDrive/within").AddParameter('Data', $batch) }
            else { $shell.AddCommand($command).AddParameter('Model', $net).AddParameter('InputObject', $batch) }
            $running = $shell.BeginInvoke()
            [Threading.Thread]::Sleep([int] ($whole / 4))
            $running.IsCompleted | Should -BeFalse
            $clock.Restart()
            $shell.Stop()
            $clock.ElapsedMilliseconds | Should -BeLessThan ($whole / 2) -Because $command
            "$($shell.InvocationStateInfo.State)" | Should -Be 'Stopped'
        }
        [IO.Directory]::Exists("$TestDrive/within") | Should -BeFalse
        $shell.Dispose()
    }

    It 'writes nothing afterwards' {
        # A model that works for long: many batches of a network.
        $net = "$PSScriptRoot/../../module/examples/data/fmnist-resnet8-bn.onnx"
        $batch = New-Tensor -Shape 16, 1, 28, 28 -Random -Seed 1
        $many = @(1..4000 | ForEach-Object { $batch })
        $shell = [PowerShell]::Create([Management.Automation.Runspaces.InitialSessionState]::CreateDefault2()).AddCommand('Import-Module').AddArgument("$PSScriptRoot/../../QuantPS.psd1")
        $null = $shell.Invoke()
        $shell.Commands.Clear()
        $null = $shell.AddCommand('Invoke-QuantizationJob').AddParameter('Path', $net).AddParameter('Destination', "$TestDrive/stopped").AddParameter('Data', $many)
        $running = $shell.BeginInvoke()
        [Threading.Thread]::Sleep(1000)
        $running.IsCompleted | Should -BeFalse
        $clock = [Diagnostics.Stopwatch]::StartNew()
        $shell.Stop()
        $clock.ElapsedMilliseconds | Should -BeLessThan 2000
        "$($shell.InvocationStateInfo.State)" | Should -Be 'Stopped'
        $shell.Streams.Error.Count | Should -Be 0
        [IO.Directory]::Exists("$TestDrive/stopped") | Should -BeFalse
        # One bar for the job, one for the model under it.
        $bars = @($shell.Streams.Progress | Where-Object Activity -Like '*fmnist*')
        $bars[0].ActivityId | Should -Be 1
        $bars[0].ParentActivityId | Should -Be 0
        @($shell.Streams.Progress | Where-Object ActivityId -EQ 0).Count | Should -BeGreaterThan 0
        $shell.Dispose()
    }
}
