# Models as they come from elsewhere: weights in a second file, operators taken apart by the exporter, metadata, operators that nobody here knows.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    # Opset 9, constants as nodes: Conv, Add of a bias, and HardSwish as Add, Clip, Mul, Div, the way PaddlePaddle's exporter writes it. Any height and width.
    $bytes = [Convert]::FromBase64String('CAgSBnBhZGRsZTqfAwovEgF3IghDb25zdGFudCogCgV2YWx1ZSoUCAIIAQgBCAEQAUoIAAAAPwAAgL+gAQQKLxIBYiIIQ29uc3RhbnQqIAoFdmFsdWUqFAgBCAIIAQgBEAFKCM3MzD3NzEy+oAEECicSBXRocmVlIghDb25zdGFudCoUCgV2YWx1ZSoIEAFKBAAAQECgAQQKJRIDc2l4IghDb25zdGFudCoUCgV2YWx1ZSoIEAFKBAAAwECgAQQKFQoBeAoBdxIBYxoEY29udiIEQ29udgoUCgFjCgFiEgFkGgRiaWFzIgNBZGQKGAoBZAoFdGhyZWUSAWUaBHBsdXMiA0FkZAowCgFlEgFmGgRjbGlwIgRDbGlwKg0KA21heBUAAMBAoAEBKg0KA21pbhUAAAAAoAEBChMKAWQKAWYSAWcaA211bCIDTXVsChUKAWcKA3NpeBIBeRoDZGl2IgNEaXYSBnBhZGRsZVoeCgF4EhkKFwgBEhMKAxIBTgoCCAEKAxIBSAoDEgFXYh4KAXkSGQoXCAESEwoDEgFOCgIIAgoDEgFICgMSAVdCBAoAEAlyEQoJY2hhcmFjdGVyEgQwMTIz')
    [IO.File]::WriteAllBytes("$TestDrive/paddle.onnx", $bytes)
    function New-Image { New-Tensor -Shape 2, 1, 4, 5 -Random -Seed 3 }
}

Describe 'Weights beside the model' {
    BeforeAll {
        [IO.Directory]::CreateDirectory("$TestDrive/model") | Out-Null
        $conv = New-Conv2d 8 16 3 -Seed 1 -Name 'big'
        $conv | Export-QModel -Path "$TestDrive/model/ext.onnx" -ExternalData
        # The same file, but with the data sought a folder further up. Both names have 13 letters.
        $text = [Text.Encoding]::Latin1.GetString([IO.File]::ReadAllBytes("$TestDrive/model/ext.onnx"))
        [IO.File]::WriteAllBytes("$TestDrive/model/evil.onnx", [Text.Encoding]::Latin1.GetBytes($text.Replace('ext.onnx.data', '../other.data')))
        [IO.File]::Copy("$TestDrive/model/ext.onnx.data", "$TestDrive/other.data")
        [IO.File]::WriteAllBytes("$TestDrive/model/lost.onnx", [Text.Encoding]::Latin1.GetBytes($text.Replace('ext.onnx.data', 'nowhere1.data')))
    }

    It 'are written with -ExternalData and read again' {
        [IO.FileInfo]::new("$TestDrive/model/ext.onnx").Length | Should -BeLessThan 1000
        [IO.FileInfo]::new("$TestDrive/model/ext.onnx.data").Length | Should -BeGreaterThan 4000
        $x = New-Tensor -Shape 1, 8, 5, 5 -Random -Seed 2
        $there = $x | Invoke-QModel -Model "$TestDrive/model/ext.onnx"
        $here = $x | Invoke-QModel -Model $conv
        $there.ToArray() | Should -Be $here.ToArray()
        (Import-QModel "$TestDrive/model/ext.onnx").SizeBytes | Should -BeGreaterThan 4000
    }

    It 'are refused outside the model''s folder, and the next model is read' {
        $problems = @()
        $models = @("$TestDrive/model/evil.onnx", "$TestDrive/model/ext.onnx" | Import-QModel -ErrorAction SilentlyContinue -ErrorVariable problems)
        $models | Should -HaveCount 1
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'ExternalDataOutsideFolder,*'
        $problems[0].Exception.Message | Should -BeLike '*evil.onnx*weight*../other.data*'
        $problems[0].TargetObject | Should -BeLike '*evil.onnx'
    }

    It 'that are missing are named with the tensor' {
        $problems = @()
        Import-QModel "$TestDrive/model/lost.onnx" -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'FileNotFound,*'
        $problems[0].Exception.Message | Should -BeLike '*nowhere1.data*lost.onnx*weight*'
    }

    It 'are not overwritten without -Force, and not touched by -WhatIf' {
        $before = [IO.File]::ReadAllBytes("$TestDrive/other.data")
        [IO.File]::WriteAllBytes("$TestDrive/new.onnx.data", $before)
        $problems = @()
        $conv | Export-QModel -Path "$TestDrive/new.onnx" -ExternalData -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'FileExists,*'
        $problems[0].Exception.Message | Should -BeLike '*new.onnx.data*'
        "$TestDrive/new.onnx" | Should -Not -Exist
        $conv | Export-QModel -Path "$TestDrive/new.onnx" -ExternalData -Force -WhatIf
        "$TestDrive/new.onnx" | Should -Not -Exist
        $conv | Export-QModel -Path "$TestDrive/new.onnx" -ExternalData -Force
        (New-Tensor -Shape 1, 8, 3, 3 -Fill 1 | Invoke-QModel -Model "$TestDrive/new.onnx").Shape | Should -Be @(1, 16, 1, 1)
        @([IO.Directory]::GetFiles("$TestDrive", '*.tmp')) | Should -HaveCount 0
    }
}

Describe 'An exporter that takes operators apart' {
    BeforeAll {
        $net = Import-QModel "$TestDrive/paddle.onnx"
        $calibration = New-Image | Invoke-Calibration -Model $net
        $q = $calibration | ConvertTo-Quantized
    }

    It 'is shown as it is' {
        $net.Inputs | Should -Be 'x [N, 1, H, W]'
        $net.Opset | Should -Be 9
        $net.Parameters | Should -Be 6
        $net.Metadata['character'] | Should -Be '0123'
    }

    It 'has what was prepared listed, in the calibration and in the quantized model' {
        $calibration.Preparation | Should -Be @('RaiseOpset x 1', 'FuseHardSwish x 1', 'FoldBias x 1')
        $q.Preparation | Should -Be $calibration.Preparation
        $said = New-Image | Invoke-Calibration -Model $net -Verbose 4>&1 | Where-Object { $_ -is [System.Management.Automation.VerboseRecord] }
        "$said" | Should -BeLike '*FuseHardSwish x 1*'
    }

    It 'is quantized whole' {
        $q.FloatIslands | Should -BeNullOrEmpty
        @($q | Get-QLayer).Op | Should -Be @('Conv', 'HardSwish')
        $float = New-Image | Invoke-QModel -Model $net
        $int8 = New-Image | Invoke-QModel -Model $q
        $largest = 0
        for ($i = 0; $i -lt $float.Length; $i++) { $largest = [Math]::Max($largest, [Math]::Abs($float.ToArray()[$i] - $int8.ToArray()[$i])) }
        $largest | Should -BeLessThan 0.02
    }

    It 'keeps metadata and sizes that vary in the file' {
        $q | Export-QModel -Path "$TestDrive/int8.onnx"
        $exported = Import-QModel "$TestDrive/int8.onnx"
        $exported.Metadata['character'] | Should -Be '0123'
        $exported.Inputs | Should -Be 'x [N, 1, H, W]'
        $exported.Opset | Should -Be 14
        (New-Tensor -Shape 1, 1, 7, 2 -Fill 1 | Invoke-QModel -Model $exported -Runtime OnnxRuntime).Shape | Should -Be @(1, 2, 7, 2)
    }
}

Describe 'An operator that nobody here knows' {
    BeforeAll {
        # Clip under another name of the same length, so that the file stays whole.
        $text = [Text.Encoding]::Latin1.GetString($bytes)
        $odd = [Text.Encoding]::Latin1.GetBytes($text.Replace('Clip', 'Clop'))
        [IO.File]::WriteAllBytes("$TestDrive/odd.onnx", $odd)
    }

    It 'does not keep the model from being looked at and written, byte for byte' {
        $model = Import-QModel "$TestDrive/odd.onnx"
        $model.Inputs | Should -Be 'x [N, 1, H, W]'
        $model | Export-QModel -Path "$TestDrive/odd-again.onnx"
        [Convert]::ToBase64String([IO.File]::ReadAllBytes("$TestDrive/odd-again.onnx")) | Should -Be ([Convert]::ToBase64String($odd))
    }

    It 'is named when the model is to be run or calibrated' {
        $problems = @()
        New-Image | Invoke-Calibration -Model "$TestDrive/odd.onnx" -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'UnsupportedOperator,*'
        $problems[0].Exception.Message | Should -BeLike '*Clop*'
        { New-Image | Invoke-QModel -Model "$TestDrive/odd.onnx" } | Should -Throw -ErrorId 'UnsupportedOperator,*'
    }
}
