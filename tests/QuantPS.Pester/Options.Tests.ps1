# What quantize_static offers, at the prompt: forms of files, options after calibration, dynamic quantization.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $data = "$PSScriptRoot/../../module/examples/data"
    $normalize = @{ Scale = 255; Mean = 0.2860; Std = 0.3530; BatchSize = 32 }
    $net = Import-QModel "$data/fmnist-resnet8-bn.onnx"
    $calib = Import-Tensor "$data/calib512-images-idx3-ubyte.gz" @normalize -First 64 | Invoke-Calibration -Model $net -QConfig onnxruntime
    $images = @(Import-Tensor "$data/test2000-images-idx3-ubyte.gz" @normalize -First 64)
    $names = @($calib | Get-QLayer | ForEach-Object Name)
}

Describe 'The forms of a quantized file' {
    It '<format> runs on ONNX Runtime and says what it is' -TestCases @(
        @{ format = 'QDQ'; operator = 'DequantizeLinear*' }
        @{ format = 'QOperator'; operator = '*QLinearConv*' }
    ) {
        $path = "$TestDrive/$format.onnx"
        $calib | ConvertTo-Quantized | Export-QModel $path -Format $format
        $model = Import-QModel $path
        $model.Arithmetic | Should -Be $format
        $model.Operators | Should -BeLike "*$operator"
        @($images | Invoke-QModel -Model $model -Runtime OnnxRuntime) | Should -HaveCount 2
    }

    It 'both give the same values to one step of the output' {
        $q = $calib | ConvertTo-Quantized
        $step = @($q | Get-QLayer)[-1].OutputScale
        $q | Export-QModel "$TestDrive/a.onnx" -Format QDQ
        $q | Export-QModel "$TestDrive/b.onnx" -Format QOperator
        $a = $images[0] | Invoke-QModel -Model "$TestDrive/a.onnx" -Runtime OnnxRuntime
        $b = $images[0] | Invoke-QModel -Model "$TestDrive/b.onnx" -Runtime OnnxRuntime
        $far = 0..($a.Length - 1) | Where-Object { [math]::Abs($a.ToArray()[$_] - $b.ToArray()[$_]) -gt 1.01 * $step }
        @($far) | Should -HaveCount 0
    }
}

Describe 'Options after calibration' {
    It 'keeps what is excluded by name or type in float' {
        $q = $calib | ConvertTo-Quantized -ExcludeNode $names[0] -ExcludeOpType Gem*
        $float = @($q | Get-QLayer | Where-Object { -not $_.IsQuantized })
        $float.Name | Should -Contain $names[0]
        $float.Op | Should -Contain 'Gemm'
        ($float | Where-Object Name -eq $names[0]).Reason | Should -Be 'it is excluded'
    }

    It 'quantizes nothing but what is named' {
        $q = $calib | ConvertTo-Quantized -OpType Conv
        @($q | Get-QLayer | Where-Object { $_.IsQuantized -and $_.Op -notlike 'Conv*' }) | Should -HaveCount 0
    }

    It 'suggests names for a pattern that matches nothing' {
        { $calib | ConvertTo-Quantized -ExcludeNode 'nothing*' -ErrorAction Stop } | Should -Throw '*no node*nothing*nearest*'
        { $calib | ConvertTo-Quantized -OpType Cov -ErrorAction Stop } | Should -Throw '*nearest: Conv*'
    }

    It 'changes types and schemes without data' {
        $first = ($calib | ConvertTo-Quantized -PerChannel).Layers[0]
        $first.Weight.Scale.Count | Should -BeGreaterThan 1
        ($calib | ConvertTo-Quantized -PerChannel:$false).Layers[0].Weight.Scale.Count | Should -Be 1
        $q = $calib | ConvertTo-Quantized -ActivationDType qint8 -SymmetricActivation
        @($q | Get-QLayer)[0].OutputZeroPoint | Should -Be 0
        $wide = $calib | ConvertTo-Quantized -ActivationDType uint16 -WeightDType int16
        $float = $images[0] | Invoke-QModel -Model $net
        $y = $images[0] | Invoke-QModel -Model $wide
        0..($y.Length - 1) | ForEach-Object { $y.ToArray()[$_] | Should -BeGreaterThan ($float.ToArray()[$_] - 0.1); $y.ToArray()[$_] | Should -BeLessThan ($float.ToArray()[$_] + 0.1) }
    }

    It 'overrides single tensors' {
        $q = $calib | ConvertTo-Quantized -TensorOverride @{ logits = @{ Scale = 0.25; ZeroPoint = 100; DType = 'quint8' } }
        $last = @($q | Get-QLayer)[-1]
        $last.OutputScale | Should -Be 0.25
        $last.OutputZeroPoint | Should -Be 100
        { $calib | ConvertTo-Quantized -TensorOverride @{ logit = @{ Symmetric = $true } } -ErrorAction Stop } | Should -Throw '*logit*nearest: logits*'
        { $calib | ConvertTo-Quantized -TensorOverride @{ logits = @{ Scala = 1 } } -ErrorAction Stop } | Should -Throw "*no 'Scala'*ZeroPoint*"
    }

    It 'leaves the calibration as it is' {
        $before = @($calib | ConvertTo-Quantized | Get-QLayer)[-1].OutputScale
        $null = $calib | ConvertTo-Quantized -ActivationDType qint8 -SymmetricActivation -MinimumRealRange 500
        @($calib | ConvertTo-Quantized | Get-QLayer)[-1].OutputScale | Should -Be $before
    }

    It 'is along another dimension where -ChannelAxis says so' {
        $q = $calib | ConvertTo-Quantized -PerChannel -ChannelAxis @{ Gemm = 0; Conv = 0 }
        $q | Export-QModel "$TestDrive/axis.onnx"
        @($images[0] | Invoke-QModel "$TestDrive/axis.onnx" -Runtime OnnxRuntime) | Should -HaveCount 1
        { $calib | ConvertTo-Quantized -PerChannel -ChannelAxis @{ Conv = 9 } -ErrorAction Stop } | Should -Throw '*4 dimensions*dimension 9*'
        { $calib | ConvertTo-Quantized -ChannelAxis @{ Conv = 'x' } -ErrorAction Stop } | Should -Throw "*-ChannelAxis 'Conv'*"
    }
}

Describe 'quantize_static''s options' {
    BeforeAll {
        # "| `Option` | `Command -Parameter` | remark |"
        $rows = [IO.File]::ReadAllLines("$PSScriptRoot/../../docs/QUANTIZE_STATIC.md") | Where-Object { $_ -match '^\| `(?<name>[\w.]+)`' } | ForEach-Object {
            $cells = $_.Trim('|') -split '\|' | ForEach-Object { $_.Trim() }
            [pscustomobject] @{ Name = $Matches.name; Here = $cells[1]; Remark = $cells[2] }
        }
    }

    It 'are all in the table: <_>' -ForEach @(
        # Of quantize_static and of its extra_options, ONNX Runtime 1.31.
        'calibration_data_reader', 'quant_format', 'op_types_to_quantize', 'per_channel', 'reduce_range', 'activation_type', 'weight_type', 'nodes_to_quantize', 'nodes_to_exclude',
        'use_external_data_format', 'calibrate_method', 'calibration_providers', 'extra.Sigmoid.nnapi', 'ActivationSymmetric', 'WeightSymmetric', 'EnableSubgraph', 'ForceQuantizeNoInputCheck',
        'MatMulConstBOnly', 'AddQDQPairToWeight', 'OpTypesToExcludeOutputQuantization', 'DedicatedQDQPair', 'QDQOpTypePerChannelSupportToAxis', 'CalibTensorRangeSymmetric', 'CalibStridedMinMax',
        'CalibMovingAverage', 'CalibMovingAverageConstant', 'CalibMaxIntermediateOutputs', 'SmoothQuant', 'SmoothQuantAlpha', 'SmoothQuantFolding', 'QuantizeBias', 'UseQDQContribOps',
        'MinimumRealRange', 'TensorQuantOverrides', 'QDQKeepRemovableActivations', 'QDQDisableWeightAdjustForInt32Bias', 'DefaultTensorType'
    ) {
        $name = $_
        $row = @($rows | Where-Object Name -CEQ $name)
        $row | Should -HaveCount 1
        if (-not $row[0].Here) { $row[0].Remark | Should -Not -BeNullOrEmpty -Because 'an option that is not here has a reason' }
    }

    It 'have the parameter that the table says, whose help has their name' {
        $named = 0
        foreach ($row in $rows) {
            foreach ($match in [regex]::Matches($row.Here, '`(?<command>\w+-\w+) -(?<parameter>\w+)')) {
                $help = Get-Help $match.Groups['command'].Value -Parameter $match.Groups['parameter'].Value
                "$($help.description.Text)" | Should -BeLike "*$($row.Name)*" -Because $match.Value
                $named++
            }
        }
        $named | Should -BeGreaterThan 24
    }
}

Describe 'Dynamic quantization' {
    It 'needs no data' {
        $q = $net | ConvertTo-Quantized -Dynamic -PerChannel
        $q.GetType().Name | Should -Be 'QModel'
        $q.Operators | Should -BeLike '*ConvInteger*'
        $q.SizeBytes | Should -BeLessThan (0.5 * $net.SizeBytes)
        $labels = "$data/test2000-labels-idx1-ubyte.gz"
        $float = ($images | Measure-QModel -Model $net -Labels $labels).Top1
        foreach ($runtime in 'QuantPS', 'OnnxRuntime') {
            ($images | Measure-QModel -Model $q -Labels $labels -Runtime $runtime).Top1 | Should -BeGreaterThan ($float - 4)
        }
        $q | Export-QModel "$TestDrive/dynamic.onnx"
        (Import-QModel "$TestDrive/dynamic.onnx").Arithmetic | Should -Be 'QOperator'
    }

    It 'reaches into bodies with -Subgraph only' {
        # Nothing here has a body: the same model.
        ($net | ConvertTo-Quantized -Dynamic -Subgraph).Operators | Should -Be ($net | ConvertTo-Quantized -Dynamic).Operators
    }

    It 'takes the same options' {
        ($net | ConvertTo-Quantized -Dynamic -OpType Gemm).Operators | Should -Not -BeLike '*ConvInteger*'
        { $net | ConvertTo-Quantized -Dynamic -Node nothing -ErrorAction Stop } | Should -Throw '*nearest*'
        { $net | ConvertTo-Quantized -ErrorAction Stop } | Should -Throw '*-Dynamic*'
    }
}
