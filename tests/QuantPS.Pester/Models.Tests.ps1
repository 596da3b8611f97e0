# The main job on real networks and images: import, calibrate, convert, run, measure, inspect, export.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $data = "$PSScriptRoot/../../module/examples/data"
    $normalize = @{ Scale = 255; Mean = 0.2860; Std = 0.3530; BatchSize = 32 }
    function Import-CalibrationImage ([int] $First = 128) { Import-Tensor "$data/calib512-images-idx3-ubyte.gz" @normalize -First $First }
    function Import-TestImage ([int] $First = 200) { Import-Tensor "$data/test2000-images-idx3-ubyte.gz" @normalize -First $First }
    $labels = "$data/test2000-labels-idx1-ubyte.gz"
}

Describe 'A float network' {
    BeforeAll { $net = Import-QModel "$data/fmnist-resnet8-bn.onnx" }

    It 'tells what it takes and gives' {
        $net.Name | Should -Be 'fmnist-resnet8-bn'
        $net.Inputs | Should -Be 'image [N, 1, 28, 28]'
        $net.Outputs | Should -Be 'logits'
        $net.Opset | Should -Be 14
    }

    It 'runs on ONNX Runtime, one tensor per batch' {
        $y = @(Import-TestImage 40 | Invoke-QModel -Model $net)
        $y | Should -HaveCount 2
        $y[0].Shape | Should -Be @(32, 10)
        $y[1].Shape | Should -Be @(8, 10)
        $y[0].Name | Should -Be 'logits'
    }

    It 'is taken by the name of its file too' {
        (Import-TestImage 1 | Invoke-QModel -Model "$data/fmnist-resnet8-bn.onnx").Shape | Should -Be @(1, 10)
        { Import-TestImage 1 | Invoke-QModel -Model "$data/nothing.onnx" } | Should -Throw '*nothing.onnx*'
    }

    It 'takes a single image without its batch dimension' {
        $image = New-Tensor -Shape 1, 28, 28 -Fill 0.5
        ($image | Invoke-QModel -Model $net).Shape | Should -Be @(1, 10)
    }

    It 'shows its layers before anything is quantized' {
        $rows = @($net | Get-QLayer)
        $rows | Should -HaveCount 15
        $rows[0].Op | Should -Be 'Conv+Relu'
        @($net | Get-QLayer '*Add') | Should -HaveCount 3
    }
}

Describe 'Quantizing <Name> with preset <Preset>' -ForEach @(
    @{ Name = 'resnet8'; Preset = 'x86'; Least = 198 }
    @{ Name = 'mobile'; Preset = 'onednn'; Least = 196 }
) {
    BeforeAll {
        $net = Import-QModel "$data/fmnist-$Name-bn.onnx"
        $calibration = Import-CalibrationImage | Invoke-Calibration -Model $net -QConfig $Preset
        $q = $calibration | ConvertTo-Quantized
    }

    It 'gives one Calibration that counts its samples' {
        @($calibration) | Should -HaveCount 1
        $calibration.Samples | Should -Be 128
        $calibration.Batches | Should -Be 4
    }

    It 'quantizes every node, weights per channel' {
        $q.FloatIslands | Should -BeNullOrEmpty
        $q.Weights | Should -Be 'per channel qint8'
        $q.SizeBytes | Should -BeLessThan ($q.FloatSizeBytes * 0.6)
        foreach ($layer in $q | Get-QLayer) {
            $layer.IsQuantized | Should -BeTrue
            $layer.OutputScale | Should -BeGreaterThan 0
        }
    }

    It 'is made of layers again when it is read from a file, in either form' {
        foreach ($format in 'QDQ', 'QOperator') {
            $file = "$TestDrive/$Name-$format.onnx"
            $q | Export-QModel -Path $file -Format $format
            $rows = @(Import-QModel $file | Get-QLayer)
            @($rows | Where-Object { -not $_.IsQuantized }) | Should -HaveCount 0
            $layers = @($rows | Where-Object { $null -ne $_.Layer })
            $layers | Should -HaveCount @($q | Get-QLayer | Where-Object { $null -ne $_.Layer }).Count
            $layers[0].Kernel | Should -Not -BeNullOrEmpty
            $layers[0].InputScale | Should -Be (@($q | Get-QLayer)[0].InputScale)
            $layers[0].WeightScale | Should -Be (@($q | Get-QLayer)[0].WeightScale)
        }
        @($q | Get-QLayer)[0].Kernel | Should -Be $layers[0].Kernel
        @($net | Get-QLayer)[0].Kernel | Should -BeNullOrEmpty
    }

    It 'loses little: our int8 runtime, and ONNX Runtime on the exported file' {
        $file = "$TestDrive/$Name.onnx"
        $q | Export-QModel -Path $file
        $exported = Import-QModel $file
        $float = Import-TestImage | Measure-QModel -Model $net -Labels $labels
        $int8 = Import-TestImage | Measure-QModel -Model $q -Labels $labels
        $ort = Import-TestImage | Measure-QModel -Model $exported -Runtime OnnxRuntime -Labels $labels
        $int8.Samples | Should -Be 200
        $int8.LatencyMs | Should -BeGreaterThan 0
        # 200 images: one image is half a point.
        ($float.Top1 - $int8.Top1) | Should -BeLessOrEqual 1.5
        ($float.Top1 - $ort.Top1) | Should -BeLessOrEqual 1.5
    }

    It 'gives the same classes as ONNX Runtime does on the exported file' {
        $ours = Import-TestImage | Invoke-QModel -Model $q | ForEach-Object { $_.ArgMax() }
        $theirs = Import-TestImage | Invoke-QModel -Model $q -Runtime OnnxRuntime | ForEach-Object { $_.ArgMax() }
        $same = 0
        for ($i = 0; $i -lt $ours.Count; $i++) { if ($ours[$i] -eq $theirs[$i]) { $same++ } }
        # Of 200. The two differ by the bias (float32 here, int32 there) and the order of float operations; near-ties then flip.
        $same | Should -BeGreaterOrEqual $Least
    }

    It 'runs from the exported file in our runtime as it does in ONNX Runtime' {
        $q | Export-QModel -Path "$TestDrive/$Name-again.onnx"
        $exported = Import-QModel "$TestDrive/$Name-again.onnx"
        $exported.Arithmetic | Should -Be 'QDQ'
        $ours = Import-TestImage 64 | Invoke-QModel -Model $exported | ForEach-Object { $_.ArgMax() }
        $theirs = Import-TestImage 64 | Invoke-QModel -Model $exported -Runtime OnnxRuntime | ForEach-Object { $_.ArgMax() }
        $same = 0
        for ($i = 0; $i -lt $ours.Count; $i++) { if ($ours[$i] -eq $theirs[$i]) { $same++ } }
        # Not all: ONNX Runtime fuses DequantizeLinear, Conv, QuantizeLinear into integer arithmetic, ours goes node by node.
        $same | Should -BeGreaterOrEqual 62
    }

    It 'is compared with the float network layer by layer' {
        $errors = @(Import-TestImage 64 | Compare-QModel -Model $q)
        $errors | Should -HaveCount @($q | Get-QLayer).Count
        foreach ($e in $errors) {
            $e.SqnrDb | Should -BeGreaterThan 8
            $e.Cosine | Should -BeGreaterThan 0.9
        }
        # The first layer has only its own error; the last one has everybody's.
        $errors[0].SqnrDb | Should -BeGreaterThan 25
    }

    It 'can be filtered and traced layer by layer' {
        $tight = $q | Get-QLayer | Where-Object Op -like 'Conv*' | ForEach-Object BiasHeadroom
        foreach ($h in $tight) { $h | Should -BeGreaterThan 1 }
        $first = @($q | Get-QLayer)[0]
        $t = Import-TestImage 1 | Trace-QuantizedConv -Layer $first -At 0, 3, 10, 10
        $t.Taps | Should -HaveCount 9
        [Math]::Abs($t.Error) | Should -BeLessOrEqual $first.OutputScale
    }
}

Describe 'Exporting' {
    BeforeAll {
        $q = New-Tensor -Shape 4, 3, 8, 8 -Random -Seed 1 | Invoke-Calibration -Model (New-Conv2d 3 4 3 -Seed 1 -Name 'c1') -QConfig qnnpack | ConvertTo-Quantized
    }

    It 'refuses to overwrite without -Force' {
        $file = "$TestDrive/there.onnx"
        [IO.File]::WriteAllText($file, 'mine')
        $problems = @()
        $q | Export-QModel -Path $file -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'FileExists,*'
        [IO.File]::ReadAllText($file) | Should -Be 'mine'
        $q | Export-QModel -Path $file -Force
        [IO.FileInfo]::new($file).Length | Should -BeGreaterThan 100
    }

    It 'writes nothing under -WhatIf' {
        $q | Export-QModel -Path "$TestDrive/whatif.onnx" -WhatIf
        "$TestDrive/whatif.onnx" | Should -Not -Exist
    }

    It 'names a folder that is not there' {
        $problems = @()
        $q | Export-QModel -Path "$TestDrive/nowhere/m.onnx" -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'FileNotWritable,*'
        $problems[0].Exception.Message | Should -BeLike '*nowhere*'
    }

    It 'leaves no temporary file behind' {
        $q | Export-QModel -Path "$TestDrive/clean.onnx" -Force
        @([IO.Directory]::GetFiles("$TestDrive", '*.tmp')) | Should -HaveCount 0
    }
}

Describe 'A linear layer at the prompt' {
    It 'is calibrated, converted and run' {
        $net = New-Linear -InFeatures 3 -OutFeatures 2 -Weight 1, 0, 0, 0, 1, 0 -Bias 0
        $q = New-Tensor -Shape 1, 3 -Value 1, -1, 0.5 | Invoke-Calibration -Model $net -QConfig fbgemm | ConvertTo-Quantized
        $y = New-Tensor -Shape 1, 3 -Value 1, -1, 0.5 | Invoke-QModel -Model $q
        [Math]::Abs($y[0, 0] - 1) | Should -BeLessOrEqual 0.02
        [Math]::Abs($y[0, 1] + 1) | Should -BeLessOrEqual 0.02
    }
}

Describe 'A model that gives integers' {
    BeforeAll {
        # QuantizeLinear (scale 0.5, zero point 10) and MatMulInteger with the weights 3 and -4, both outputs of the graph.
        $bytes = [Convert]::FromBase64String('CAg6rAEKHAoBeAoBcwoBehIBcSIOUXVhbnRpemVMaW5lYXIKHgoBcQoBdwoBehIEc3VtcyINTWF0TXVsSW50ZWdlchIBZyoLEAFCAXNKBAAAAD8qCBACQgF6SgEKKg0IAggBEANCAXdKAgP8WhQKAXgSDwoNCAESCQoDEgFOCgIIAmIUCgFxEg8KDQgCEgkKAxIBTgoCCAJiFwoEc3VtcxIPCg0IBhIJCgMSAU4KAggBQgIQDQ==')
        [IO.File]::WriteAllBytes("$TestDrive/integers.onnx", $bytes)
        $model = Import-QModel "$TestDrive/integers.onnx"
    }

    It 'gives quantized tensors with the parameters that it names: <Runtime>' -ForEach @(@{ Runtime = 'QuantPS' }, @{ Runtime = 'OnnxRuntime' }) {
        $q, $sums = New-Tensor -Shape 1, 2 -Value 2, -3 | Invoke-QModel -Model $model -Runtime $Runtime
        $q.Name | Should -Be 'q'
        $q.IntRepr() | Should -Be @(14, 4)
        $q.Scale | Should -Be 0.5
        $q.ZeroPoint | Should -Be 10
        $q.Dequantize().ToArray() | Should -Be @(2, -3)
        $sums.DType | Should -Be 'QInt32'
        $sums.IntRepr() | Should -Be @(36)
        $sums.Scale | Should -Be 1
        $sums.ZeroPoint | Should -Be 0
    }
}
