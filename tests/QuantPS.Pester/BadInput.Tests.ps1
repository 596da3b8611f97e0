# What goes wrong in practice: each a non-terminating error that names the item, and the rest of the pipeline goes on.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $data = "$PSScriptRoot/../../module/examples/data"
    $net = Import-QModel "$data/fmnist-resnet8-bn.onnx"
    function New-Image ([float] $Fill = 0.5) { New-Tensor -Shape 1, 1, 28, 28 -Fill $Fill }
}

Describe 'Model files' {
    BeforeAll {
        $good = "$data/fmnist-mobile-bn.onnx"
        [IO.File]::WriteAllText("$TestDrive/text.onnx", 'this is no model')
        [IO.File]::WriteAllBytes("$TestDrive/cut.onnx", [IO.File]::ReadAllBytes($good)[0..20000])
        [IO.File]::WriteAllBytes("$TestDrive/empty.onnx", [byte[]]@())
    }

    It '<File> gives <Id>, and the next file is read' -ForEach @(
        @{ File = 'text.onnx';    Id = 'NotAnOnnxModel' }
        @{ File = 'cut.onnx';     Id = 'FileTruncated' }
        @{ File = 'empty.onnx';   Id = 'FileTruncated' }
        @{ File = 'missing.onnx'; Id = 'FileNotFound' }
    ) {
        $problems = @()
        $models = @("$TestDrive/$File", $good | Import-QModel -ErrorAction SilentlyContinue -ErrorVariable problems)
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike "$Id,*"
        $problems[0].Exception.Message | Should -BeLike "*$File*"
        $models | Should -HaveCount 1
        $models[0].Name | Should -Be 'fmnist-mobile-bn'
    }
}

Describe 'Tensors' {
    It '<What> in the middle of a calibration is reported and left out' -ForEach @(
        @{ What = 'a wrong shape'; Shape = @(1, 1, 27, 28); Value = 0.5; Id = 'ShapeMismatch' }
        @{ What = 'NaN';           Shape = @(1, 1, 28, 28); Value = [float]::NaN; Id = 'NotANumber' }
        @{ What = 'infinity';      Shape = @(1, 1, 28, 28); Value = [float]::PositiveInfinity; Id = 'NotFinite' }
    ) {
        $problems = @()
        $bad = New-Tensor -Shape $Shape -Fill $Value
        $calibration = & { New-Image 0.1; $bad; New-Image 0.9 } | Invoke-Calibration -Model $net -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike "$Id,*"
        $problems[0].TargetObject | Should -Be $bad
        $calibration.Samples | Should -Be 2
    }

    It '<What> is reported by Invoke-QModel, and the others run' -ForEach @(
        @{ What = 'a wrong shape'; Shape = @(1, 3, 28, 28); Value = 0.5; Id = 'ShapeMismatch' }
        @{ What = 'NaN';           Shape = @(1, 1, 28, 28); Value = [float]::NaN; Id = 'NotANumber' }
        @{ What = 'infinity';      Shape = @(1, 1, 28, 28); Value = [float]::NegativeInfinity; Id = 'NotFinite' }
    ) {
        $q = New-Image | Invoke-Calibration -Model $net -QConfig onednn | ConvertTo-Quantized
        $problems = @()
        $y = @(& { New-Image; New-Tensor -Shape $Shape -Fill $Value; New-Image } | Invoke-QModel -Model $q -ErrorAction SilentlyContinue -ErrorVariable problems)
        $y | Should -HaveCount 2
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike "$Id,*"
    }
}

Describe 'Calibration and conversion' {
    It 'says that a model without layers to quantize has none, and the next model is calibrated' {
        # Relu alone: written as an ONNX file, byte by byte, because the module makes no such model itself.
        $relu = [Convert]::FromBase64String('CAgSAXQ6TQoMCgF4EgF5IgRSZWx1EgFnWhwKAXgSFwoVCAESEQoDEgFOCgIIAQoCCBwKAggcYhwKAXkSFwoVCAESEQoDEgFOCgIIAQoCCBwKAggcQgQKABAN')
        [IO.File]::WriteAllBytes("$TestDrive/relu.onnx", $relu)
        $problems = @()
        $results = @(foreach ($model in "$TestDrive/relu.onnx", "$data/fmnist-resnet8-bn.onnx" | Import-QModel) {
            New-Image | Invoke-Calibration -Model $model -ErrorAction SilentlyContinue -ErrorVariable +problems
        })
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'NothingToQuantize,*'
        $problems[0].Exception.Message | Should -BeLike '*relu*'
        $results | Should -HaveCount 1
    }

    It 'refuses to convert before any calibration: <What>' -ForEach @(
        @{ What = 'a float model' }
        @{ What = 'a calibration without data' }
    ) {
        $problems = @()
        if ($What -eq 'a float model') {
            $q = $net | ConvertTo-Quantized -ErrorAction SilentlyContinue -ErrorVariable problems
            $id = 'NotCalibrated'
        }
        else {
            $q = @() | Invoke-Calibration -Model $net -ErrorAction SilentlyContinue -ErrorVariable problems | ConvertTo-Quantized
            $id = 'NeverObserved'
        }
        $q | Should -BeNullOrEmpty
        $problems[0].FullyQualifiedErrorId | Should -BeLike "$id,*"
        $problems[0].Exception.Message | Should -BeLike '*fmnist-resnet8-bn*'
    }
}

Describe 'Labels' {
    It 'that are too few are an error for the samples that have none' {
        $problems = @()
        $m = & { New-Image; New-Image; New-Image } | Measure-QModel -Model $net -Labels 1, 2 -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'LabelMismatch,*'
        $m.Samples | Should -Be 2
    }
}

Describe 'Errors can be made to stop' {
    It 'by -ErrorAction Stop' {
        { "$TestDrive/missing.onnx" | Import-QModel -ErrorAction Stop } | Should -Throw -ErrorId 'FileNotFound,*'
    }
}
