# Calibrations as files, merged, with layers of their own, and their histograms.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $data = "$PSScriptRoot/../../module/examples/data"
    function Import-CalibrationImage ([int] $First = 64, [int] $Skip = 0) {
        Import-Tensor "$data/calib512-images-idx3-ubyte.gz" -Scale 255 -Mean 0.2860 -Std 0.3530 -BatchSize 16 -First $First -Skip $Skip
    }
    function Get-Parameter ($Quantized) { $Quantized | Get-QLayer | ForEach-Object { "$($_.Name) $($_.OutputScale) $($_.OutputZeroPoint) $($_.WeightScale -join ' ')" } }
    $net = Import-QModel "$data/fmnist-resnet8-bn.onnx"
    $calibration = Import-CalibrationImage | Invoke-Calibration -Model $net -QConfig x86
}

Describe 'A calibration in a file' {
    It '<_> gives the same quantized model' -ForEach 'calib.json', 'calib.json.gz' {
        $file = $calibration | Export-Calibration "$TestDrive/$_" -PassThru
        $file.FullName | Should -Exist
        $read = Import-Calibration "$TestDrive/$_" -Model $net
        $read.Samples, $read.Batches, $read.Observed | Should -Be $calibration.Samples, $calibration.Batches, $calibration.Observed
        $read.QConfig | Should -Be $calibration.QConfig
        Get-Parameter ($read | ConvertTo-Quantized) | Should -Be (Get-Parameter ($calibration | ConvertTo-Quantized))
    }

    It 'is smaller when compressed' {
        [System.IO.FileInfo]::new("$TestDrive/calib.json.gz").Length | Should -BeLessThan ([System.IO.FileInfo]::new("$TestDrive/calib.json").Length / 2)
    }

    It 'is not overwritten without -Force, and not written with -WhatIf' {
        { $calibration | Export-Calibration "$TestDrive/calib.json" -ErrorAction Stop } | Should -Throw -ErrorId 'FileExists,*'
        $calibration | Export-Calibration "$TestDrive/calib.json" -Force
        $calibration | Export-Calibration "$TestDrive/never.json" -WhatIf
        "$TestDrive/never.json" | Should -Not -Exist
        [System.IO.Directory]::GetFiles($TestDrive).Count | Should -Be 2
    }

    It 'belongs to its model only' {
        $other = Import-QModel "$data/fmnist-mobile-bn.onnx"
        { Import-Calibration "$TestDrive/calib.json" -Model $other -ErrorAction Stop } | Should -Throw -ErrorId 'CalibrationMismatch,*' -ExpectedMessage '*fmnist-resnet8-bn*'
    }

    It 'is one bad file among good ones when it is damaged' {
        [System.IO.File]::WriteAllText("$TestDrive/bad.json", '{ "format": "QuantPS.Calibration" ')
        $errors = @()
        $good = @("$TestDrive/bad.json", "$TestDrive/calib.json" | Import-Calibration -Model $net -ErrorAction SilentlyContinue -ErrorVariable errors)
        $good | Should -HaveCount 1
        $errors[0].FullyQualifiedErrorId | Should -BeLike 'FileFormat,*'
        $errors[0].TargetObject | Should -BeLike '*bad.json'
        [System.IO.File]::Delete("$TestDrive/bad.json")
    }
}

Describe 'Calibrations of other tools' {
    BeforeAll { $minMax = Import-CalibrationImage | Invoke-Calibration -Model $net -QConfig (New-QConfig onnxruntime -ActivationObserver MinMax) }

    It '<File> goes out and comes back' -ForEach @(
        @{ Format = 'OnnxRuntime'; File = 'calibration.json' }
        @{ Format = 'Aimet'; File = 'resnet8.encodings' }
    ) {
        $minMax | Export-Calibration "$TestDrive/$File" -Format $Format
        $read = Import-Calibration "$TestDrive/$File" -Model $net
        $read.QConfig.Backend | Should -Be 'OnnxRuntime'
        Get-Parameter ($read | ConvertTo-Quantized) | Should -Be (Get-Parameter ($minMax | ConvertTo-Quantized))
    }

    It 'AIMET 1.0.0 is written on demand, and another version refused' {
        $minMax | Export-Calibration "$TestDrive/one.encodings" -Format Aimet -FormatVersion 1.0.0
        [System.IO.File]::ReadAllText("$TestDrive/one.encodings") | Should -BeLike '*"version": "1.0.0"*"enc_type": "PER_TENSOR"*'
        { $minMax | Export-Calibration "$TestDrive/two.json" -Format OnnxRuntime -FormatVersion 1.0.0 -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidArgument,*'
        "$TestDrive/two.json" | Should -Not -Exist
    }

    It 'a bad file is named with its key' {
        [System.IO.File]::WriteAllText("$TestDrive/bad.encodings", '{ "activation_encodings": { "image": [ { "scale": 0.1 } ] } }')
        { Import-Calibration "$TestDrive/bad.encodings" -Model $net -ErrorAction Stop } | Should -Throw -ErrorId 'FileFormat,*' -ExpectedMessage '*bad.encodings*activation_encodings.image`[0`]*'
    }
}

Describe 'Merging' {
    BeforeAll { $parts = 0, 16, 32, 48 | ForEach-Object { Import-CalibrationImage 16 $_ | Invoke-Calibration -Model $net -QConfig x86 } }

    It 'adds up, in any order, in any grouping' {
        $flat = $parts | Merge-Calibration
        $flat.Samples | Should -Be 64
        $flat.Batches | Should -Be 4
        $expected = Get-Parameter ($flat | ConvertTo-Quantized)
        Get-Parameter ($parts[3, 1, 0, 2] | Merge-Calibration | ConvertTo-Quantized) | Should -Be $expected
        $pairs = ($parts[2, 3] | Merge-Calibration), ($parts[1, 0] | Merge-Calibration)
        Get-Parameter ($pairs | Merge-Calibration | ConvertTo-Quantized) | Should -Be $expected
    }

    It 'works on files' {
        0..3 | ForEach-Object { $parts[$_] | Export-Calibration "$TestDrive/part$_.json.gz" }
        $merged = Import-Calibration "$TestDrive/part*.json.gz" -Model $net | Merge-Calibration
        Get-Parameter ($merged | ConvertTo-Quantized) | Should -Be (Get-Parameter ($parts | Merge-Calibration | ConvertTo-Quantized))
    }

    It 'is exact for extremes' {
        $minMax = New-QConfig x86 -ActivationObserver MinMax
        $split = 0, 32 | ForEach-Object { Import-CalibrationImage 32 $_ | Invoke-Calibration -Model $net -QConfig $minMax } | Merge-Calibration
        $whole = Import-CalibrationImage | Invoke-Calibration -Model $net -QConfig $minMax
        Get-Parameter ($split | ConvertTo-Quantized) | Should -Be (Get-Parameter ($whole | ConvertTo-Quantized))
    }

    It 'refuses what does not belong together' {
        $other = Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig onednn
        { $parts[0], $other | Merge-Calibration -ErrorAction Stop } | Should -Throw -ErrorId 'CalibrationMismatch,*'
        $moving = New-QConfig x86 -ActivationObserver MovingAverageMinMax
        $averages = 1, 2 | ForEach-Object { Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig $moving }
        { $averages | Merge-Calibration -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidArgument,*' -ExpectedMessage '*moving average*'
    }
}

Describe 'Layers of their own' {
    BeforeAll { $rows = @($net | Get-QLayer | Where-Object Op -like 'Conv*') }

    It 'an override by hashtable, preset and QConfig' {
        $c = New-QConfig x86 -Override @{ $rows[0].Name = @{ ActivationObserver = 'MinMaxObserver'; ReduceRange = $true }; $rows[1].Name = 'qnnpack'; '*Gemm' = (New-QConfig -WeightObserver MinMax) }
        $c.Overrides.Count | Should -Be 3
        "$($c.For($rows[0].Name).Activation)" | Should -Be 'MinMax(quint8, per_tensor_affine, reduce_range)'
        "$($c.For($rows[1].Name).Weight)" | Should -Be 'MinMax(qint8, per_tensor_symmetric)'
        $layers = Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig $c | ConvertTo-Quantized | Get-QLayer
        ($layers | Where-Object Name -EQ $rows[1].Name).WeightScale.Count | Should -Be 1
        ($layers | Where-Object Name -EQ $rows[2].Name).WeightScale.Count | Should -BeGreaterThan 1
    }

    It 'excluded layers stay float and say why' {
        $c = New-QConfig x86 -Exclude $rows[0].Name, '*gemm'
        $q = Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig $c | ConvertTo-Quantized
        ($q | Get-QLayer $rows[0].Name).Reason | Should -Be 'it is excluded'
        "$($q.FloatIslands)" | Should -BeLike "*excluded by '*gemm'*"
        ($q | Get-QLayer | Where-Object { $_.Layer }).Count | Should -Be ($rows.Count - 1)
    }

    It 'a pattern that matches nothing is an error with the nearest names' {
        $wrong = $rows[3].Name + 'x'
        { Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig (New-QConfig -Exclude $wrong) -ErrorAction Stop } |
            Should -Throw -ErrorId 'LayerNotFound,*' -ExpectedMessage "*$($rows[3].Name)*"
    }

    It '<Case> is <Id>' -ForEach @(
        @{ Id = 'InvalidArgument'; Case = 'an unknown parameter'; Override = @{ a = @{ NoSuch = 1 } } }
        @{ Id = 'InvalidArgument'; Case = 'a number'; Override = @{ a = 7 } }
        @{ Id = 'InvalidArgument'; Case = 'nothing'; Override = @{ a = $null } }
        @{ Id = 'InvalidArgument'; Case = 'an unknown observer'; Override = @{ a = @{ ActivationObserver = 'Median' } } }
        @{ Id = 'UnknownQConfig'; Case = 'an unknown preset'; Override = @{ a = 'x87' } }
        @{ Id = 'UnsupportedScheme'; Case = 'an observer that does not go with its scheme'; Override = @{ a = @{ WeightObserver = 'MinMax'; WeightScheme = 'per_channel_affine' } } }
    ) {
        { New-QConfig -Override $Override -ErrorAction Stop } | Should -Throw -ErrorId "$Id,*"
    }
}

Describe 'Observers at the prompt' {
    It 'takes <Kind> with its arguments' -ForEach @(
        @{ Kind = 'Percentile'; Arguments = @{ Percentile = 99.9; Bins = 512; SymmetricRange = $false }; Property = 'Percentile'; Value = 99.9 }
        @{ Kind = 'Entropy'; Arguments = @{ Bins = 1024; QuantizedBins = 64 }; Property = 'QuantizedBins'; Value = 64 }
        @{ Kind = 'OrtMinMax'; Arguments = @{ Averaging = $true }; Property = 'Averaging'; Value = $true }
        @{ Kind = 'FixedQParams'; Arguments = @{ ActivationScale = 0.125; ActivationZeroPoint = 3 }; Property = 'ZeroPoint'; Value = 3 }
        @{ Kind = 'Mse'; Arguments = @{ ActivationDType = 'quint8' }; Property = 'Bins'; Value = 2048 }
    ) {
        $spec = (New-QConfig onnxruntime -ActivationObserver $Kind @Arguments).Activation
        $spec.Kind | Should -Be $Kind
        $spec.$Property | Should -Be $Value
    }

    It 'an observer without a range is refused when it matters, by the value''s name' {
        $c = Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig (New-QConfig -ActivationObserver Placeholder)
        { $c | ConvertTo-Quantized -ErrorAction Stop } | Should -Throw -ErrorId 'ObserverHasNoRange,*' -ExpectedMessage "*'image'*"
    }
}

Describe 'Get-QConfig' {
    It 'lists the presets' {
        @(Get-QConfig).Count | Should -BeGreaterOrEqual 10
        (Get-QConfig *symmetric_qnnpack*).Name | Should -Be 'default_symmetric_qnnpack_qconfig', 'default_per_channel_symmetric_qnnpack_qconfig'
        (Get-QConfig X86).Backend | Should -Be 'X86'
        { Get-QConfig nope -ErrorAction Stop } | Should -Throw -ErrorId 'UnknownQConfig,*'
    }
}

Describe 'Get-QHistogram' {
    It 'shows every tensor of a calibration' {
        $h = @($calibration | Get-QHistogram)
        $h | Should -HaveCount $calibration.Observed
        $h[0].Name | Should -Be 'image'
        $h[0].Total | Should -Be (64 * 28 * 28)
        $h[0].BinEdges.Count | Should -Be ($h[0].Bins + 1)
        $h[0].BinEdges[0] | Should -Be $h[0].Min
        $h[0].BinEdges[-1] | Should -Be $h[0].Max
        $h[0].Sparkline.Length | Should -Be 32
    }

    It 'shows one layer''s output' {
        $q = $calibration | ConvertTo-Quantized
        $layer = @($q | Get-QLayer | Where-Object { $_.Layer })[0]
        $h = $layer | Get-QHistogram
        $h.Min, $h.Max | Should -Be $layer.Min, $layer.Max
        @($q | Get-QHistogram im*).Name | Should -Be 'image'
    }

    It 'says so where there is none' {
        $minMax = Import-CalibrationImage 16 | Invoke-Calibration -Model $net -QConfig (New-QConfig -ActivationObserver MinMax)
        { $minMax | Get-QHistogram -ErrorAction Stop } | Should -Throw -ErrorId 'ObserverHasNoRange,*' -ExpectedMessage '*Histogram*'
        { $calibration | Get-QHistogram nowhere -ErrorAction Stop } | Should -Throw -ErrorId 'LayerNotFound,*'
        { 5 | Get-QHistogram -ErrorAction Stop } | Should -Throw -ErrorId 'InvalidArgument,*'
    }

    It 'has a view' { ($calibration | Get-QHistogram image | Out-String) | Should -Match 'Quantized range' }
}

Describe 'Small and wide integers' {
    It '<DType>: <Type> from <Min> to <Max>' -ForEach @(
        @{ DType = 'int16'; Type = 'Int16[]'; Min = -32768; Max = 32767 }
        @{ DType = 'uint16'; Type = 'UInt16[]'; Min = 0; Max = 65535 }
        @{ DType = 'int4'; Type = 'SByte[]'; Min = -8; Max = 7 }
        @{ DType = 'quint4x2'; Type = 'Byte[]'; Min = 0; Max = 15 }
    ) {
        $q = New-Tensor 3 -Value -1e6, 1e6, 0 | ConvertTo-Quantized -Scale 1 -DType $DType
        $q.IntRepr().GetType().Name | Should -Be $Type
        $q.IntRepr() | Should -Be $Min, $Max, 0
        $q[1] | Should -Be $Max
        (New-QuantizedTensor -IntRepr $Min, $Max, 1 -Shape 3 -Scale 0.5 -DType $DType).Dequantize().ToArray() | Should -Be ($Min / 2), ($Max / 2), 0.5
    }
}
