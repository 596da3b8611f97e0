BeforeAll { Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force }

Describe 'Presets are PyTorch''s get_default_qconfig' {
    It '<Name>' -ForEach @(
        @{ Name = 'x86'; Activation = 'Histogram(quint8, per_tensor_affine, reduce_range)'; Weight = 'PerChannelMinMax(qint8, per_channel_symmetric)' }
        @{ Name = 'fbgemm'; Activation = 'Histogram(quint8, per_tensor_affine, reduce_range)'; Weight = 'PerChannelMinMax(qint8, per_channel_symmetric)' }
        @{ Name = 'onednn'; Activation = 'Histogram(quint8, per_tensor_affine)'; Weight = 'PerChannelMinMax(qint8, per_channel_symmetric)' }
        @{ Name = 'qnnpack'; Activation = 'Histogram(quint8, per_tensor_affine)'; Weight = 'MinMax(qint8, per_tensor_symmetric)' }
    ) {
        $c = New-QConfig $Name
        $c.Name | Should -Be $Name
        $c.Backend | Should -Be $Name
        "$($c.Activation)" | Should -Be $Activation
        "$($c.Weight)" | Should -Be $Weight
    }

    It 'start from x86' { (New-QConfig).Backend | Should -Be 'X86' }
    It 'are found in any case' { (New-QConfig QNNPACK).Backend | Should -Be 'Qnnpack' }
}

Describe 'What is named changes the preset' {
    It 'an observer replaces the preset''s with all its arguments' {
        $c = New-QConfig -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme per_channel_affine
        "$($c.Activation)" | Should -Be 'MinMax(quint8, per_tensor_affine)'
        "$($c.Weight)" | Should -Be 'PerChannelMinMax(qint8, per_channel_affine)'
        $c.Name | Should -Be 'custom'
    }

    It 'a weight observer brings its scheme' {
        "$((New-QConfig qnnpack -WeightObserver PerChannelMinMax).Weight)" | Should -Be 'PerChannelMinMax(qint8, per_channel_symmetric)'
        "$((New-QConfig x86 -WeightObserver MinMax).Weight)" | Should -Be 'MinMax(qint8, per_tensor_symmetric)'
    }

    It 'a weight scheme brings its observer' {
        "$((New-QConfig qnnpack -WeightScheme per_channel_affine).Weight)" | Should -Be 'PerChannelMinMax(qint8, per_channel_affine)'
        "$((New-QConfig x86 -WeightScheme PerTensorSymmetric).Weight)" | Should -Be 'MinMax(qint8, per_tensor_symmetric)'
    }

    It 'the reduced range comes and goes' {
        (New-QConfig x86 -ReduceRange:$false).Activation.ReduceRange | Should -BeFalse
        (New-QConfig onednn -ReduceRange).Activation.ReduceRange | Should -BeTrue
        (New-QConfig x86).Weight.ReduceRange | Should -BeFalse
    }

    It 'ranges and constants' {
        $c = New-QConfig -WeightQuantMin -127 -WeightQuantMax 127 -ActivationObserver MovingAverageMinMax -AveragingConstant 0.1 -Name mine
        $c.Weight.QuantMin, $c.Weight.QuantMax | Should -Be -127, 127
        $c.Activation.AveragingConstant | Should -Be 0.1
        $c.Name | Should -Be 'mine'
    }

    It 'a QConfig can be changed further' {
        $c = New-QConfig -Backend (New-QConfig qnnpack -ReduceRange) -WeightScheme per_channel_symmetric
        $c.Backend | Should -Be 'Qnnpack'
        $c.Activation.ReduceRange | Should -BeTrue
    }
}

Describe 'PyTorch''s spelling' {
    It 'observer <_>' -ForEach 'MinMaxObserver', 'minmax', 'MinMax', 'torch.ao.quantization.MinMaxObserver' { (New-QConfig -ActivationObserver $_).Activation.Kind | Should -Be 'MinMax' }
    It 'scheme <_>' -ForEach 'per_tensor_symmetric', 'torch.per_tensor_symmetric', 'PerTensorSymmetric', 'PER_TENSOR_SYMMETRIC' { (New-QConfig onednn -ActivationScheme $_).Activation.Scheme | Should -Be 'PerTensorSymmetric' }
    It 'dtype <_>' -ForEach 'quint8', 'torch.quint8', 'QUInt8' { (New-QConfig -ActivationDType $_).Activation.DType | Should -Be 'QUInt8' }
    It 'unknown names are answered with the known ones' {
        { New-QConfig -ActivationScheme per_row } | Should -Throw '*per_tensor_affine*'
        { New-QConfig -ActivationObserver Median } | Should -Throw '*HistogramObserver*'
        { New-QConfig nope } | Should -Throw '*x86, fbgemm, onednn, qnnpack, onnxruntime*'
    }
}

Describe 'What does not go together' {
    It '<Arguments.Keys> is <Id>' -ForEach @(
        @{ Arguments = @{ WeightObserver = 'MinMax'; WeightScheme = 'per_channel_affine' }; Id = 'UnsupportedScheme' }
        @{ Arguments = @{ ActivationScheme = 'per_channel_affine' }; Id = 'UnsupportedScheme' }
        @{ Arguments = @{ WeightQuantMin = -127 }; Id = 'InvalidQuantizationRange' }
        @{ Arguments = @{ WeightQuantMin = 5; WeightQuantMax = 3 }; Id = 'InvalidQuantizationRange' }
        @{ Arguments = @{ AveragingConstant = 0 }; Id = 'InvalidArgument' }
    ) {
        { New-QConfig @Arguments -ErrorAction Stop } | Should -Throw -ErrorId "$Id,*"
    }
}

Describe 'Versions of PyTorch and smallest scales' {
    It 'takes <Version> as <Expected>' -ForEach @(
        @{ Version = '1.13'; Expected = 'V1_13' }
        @{ Version = 2;      Expected = 'V2' }
        @{ Version = '2.10'; Expected = 'V2' }
    ) {
        $c = New-QConfig onednn -TorchVersion $Version
        $c.Activation.TorchVersion | Should -Be $Expected
        $c.Weight.TorchVersion | Should -Be $Expected
    }

    It 'refuses a version that it does not know' {
        { New-QConfig -TorchVersion 3 } | Should -Throw '*1.13*'
    }

    It 'takes the smallest scale' {
        (New-QConfig -WeightEps 0.000244140625).Weight.Eps | Should -Be 0.000244140625
    }
}

Describe 'Compat' {
    It 'quantizes NaN and huge values as the real kernels of <Version> do' -ForEach @(
        # 2.x: NaN acts as a big number and the zero point wraps a sum beyond int32 to the minimum. 1.13: NaN gives the minimum.
        @{ Version = '2';    Expected = @(0, 255, 0) }
        @{ Version = '1.13'; Expected = @(0, 255, 0) }
    ) {
        $x = New-Tensor -Shape 3 -Value ([float]::NaN), 300, -300
        ($x | ConvertTo-Quantized -Scale 1 -ZeroPoint 200 -Compat -TorchVersion $Version).IntRepr() | Should -Be $Expected
    }

    It 'differs where the kernels do: NaN with a zero point of 0' {
        $x = New-Tensor -Shape 1 -Value ([float]::NaN)
        ($x | ConvertTo-Quantized -Scale 1 -Compat -TorchVersion 2).IntRepr() | Should -Be 255
        ($x | ConvertTo-Quantized -Scale 1 -Compat -TorchVersion 1.13).IntRepr() | Should -Be 0
        ($x | ConvertTo-Quantized -Scale 1).IntRepr() | Should -Be 0
    }
}
