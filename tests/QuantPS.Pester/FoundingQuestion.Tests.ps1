# The example that began the module: a Conv2d(5, 2, 3) of zeros with a bias of 0.5, and what each engine does with that bias.
# Expected numbers are those of the real engines (torch 1.13, libtorch 2.10).

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force

    function New-FoundingModel ([string] $Backend, [string] $Scheme) {
        $conv = New-Conv2d -InChannels 5 -OutChannels 2 -KernelSize 3 -Weight 0 -Bias 0.5
        $cfg = New-QConfig -Backend $Backend -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme $Scheme
        New-Tensor -Shape 2, 5, 7, 7 -Fill 1 | Invoke-Calibration -Model $conv -QConfig $cfg | ConvertTo-Quantized
    }
}

Describe 'The founding example' {
    It 'runs as it is written in the documentation' {
        $conv = New-Conv2d -InChannels 5 -OutChannels 2 -KernelSize 3 -Weight 0 -Bias 0.5
        $cfg  = New-QConfig -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme per_channel_affine
        $q    = 1..1000 | ForEach-Object { New-Tensor -Shape 2,5,7,7 -Fill 1 } | Invoke-Calibration -Model $conv -QConfig $cfg | ConvertTo-Quantized
        $y    = New-Tensor -Shape 1,5,7,7 -Fill 1 | Invoke-QuantizedConv -Layer $q

        $y.IntRepr() | Should -HaveCount 50
        $y.IntRepr() | ForEach-Object { $_ | Should -Be 255 }
        $y.Scale | Should -Be 0.0019607844296842813
        $y.ZeroPoint | Should -Be 0
        $y.Shape | Should -Be @(1, 2, 5, 5)
        $y.Dequantize()[0, 1, 4, 4] | Should -Be 0.5
    }

    It 'gives 255 fifty times on <Backend> with <Scheme> weights' -ForEach @(
        @{ Backend = 'fbgemm';  Scheme = 'per_channel_affine' }
        @{ Backend = 'qnnpack'; Scheme = 'per_channel_affine' }
        @{ Backend = 'x86';     Scheme = 'per_channel_affine' }
        @{ Backend = 'fbgemm';  Scheme = 'per_channel_symmetric' }
        @{ Backend = 'qnnpack'; Scheme = 'per_channel_symmetric' }
        @{ Backend = 'x86';     Scheme = 'per_channel_symmetric' }
        @{ Backend = 'onednn';  Scheme = 'per_channel_symmetric' }
    ) {
        $q = New-FoundingModel $Backend $Scheme
        $y = New-Tensor -Shape 1, 5, 7, 7 -Fill 1 | Invoke-QuantizedConv -Layer $q

        @($y.IntRepr() | Where-Object { $_ -eq 255 }) | Should -HaveCount 50
        $y.Scale | Should -Be 0.0019607844296842813
        $y.ZeroPoint | Should -Be 0
    }

    It 'is refused by onednn with affine weights, in words' {
        $refused = @()
        $q = New-FoundingModel onednn per_channel_affine -ErrorAction SilentlyContinue 2>$null
        $q | Should -BeNullOrEmpty
        $conv = New-Conv2d -InChannels 5 -OutChannels 2 -KernelSize 3 -Weight 0 -Bias 0.5
        $cfg = New-QConfig -Backend onednn -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightScheme per_channel_affine
        $null = New-Tensor -Shape 2, 5, 7, 7 -Fill 1 | Invoke-Calibration -Model $conv -QConfig $cfg |
            ConvertTo-Quantized -ErrorAction SilentlyContinue -ErrorVariable refused
        $refused | Should -HaveCount 1
        $refused[0].FullyQualifiedErrorId | Should -BeLike 'AsymmetricWeightRefused,*'
        $refused[0].Exception.Message | Should -BeLike "*'conv'*onednn only supports symmetric*zero point must be 0*"
    }

    It 'keeps the bias float in the layer, and shows what the engine makes of it: <Backend>' -ForEach @(
        @{ Backend = 'qnnpack'; Integer = 1069547456 }
        @{ Backend = 'fbgemm';  Integer = $null }
        @{ Backend = 'x86';     Integer = $null }
    ) {
        $layer = (New-FoundingModel $Backend per_channel_affine | Get-QLayer).Layer

        $layer.Bias | Should -BeOfType [float]
        $layer.Bias | Should -Be @(0.5, 0.5)
        $layer.InputScale | Should -Be 0.003921568859368563
        $layer.Weight.Scale | Should -Be @(1.1920928955078125e-07, 1.1920928955078125e-07)
        $layer.Weight.ZeroPoint | Should -Be @(-128, -128)
        $layer.BiasScale[0] | Should -Be (0.003921568859368563 * 1.1920928955078125e-07)
        if ($null -eq $Integer) { $layer.QuantizedBias | Should -BeNullOrEmpty }
        else { $layer.QuantizedBias | Should -Be @($Integer, $Integer) }
    }

    It 'shows how close the int32 bias is to its limit' {
        $row = New-FoundingModel qnnpack per_channel_affine | Get-QLayer
        [Math]::Round($row.BiasHeadroom, 4) | Should -Be 2.0078
    }
}

Describe 'Trace-QuantizedConv' {
    It 'tells every step on <Backend>' -ForEach @(
        @{ Backend = 'qnnpack' }
        @{ Backend = 'fbgemm' }
    ) {
        $q = New-FoundingModel $Backend per_channel_affine
        $t = New-Tensor -Shape 1, 5, 7, 7 -Fill 1 | Trace-QuantizedConv -Layer $q -At 0, 1, 2, 3

        $t.Taps | Should -HaveCount 45
        # 45 taps of 255 * -128, and the zero point of the weight takes all of it away again.
        $t.RawDotProduct | Should -Be (45 * 255 * -128)
        $t.WeightZeroPointCorrection | Should -Be (45 * 255 * 128)
        $t.InputZeroPointCorrection | Should -Be 0
        $t.CrossCorrection | Should -Be 0
        $t.Accumulator | Should -Be 0
        $t.Output | Should -Be 255
        $t.FloatValue | Should -Be 0.5
        if ($Backend -eq 'qnnpack') { $t.IntegerBias | Should -Be 1069547456 } else { $t.IntegerBias | Should -BeNullOrEmpty }
    }

    It 'refuses an index outside the output and goes on' {
        $q = New-FoundingModel qnnpack per_channel_affine
        $problems = @()
        $t = New-Tensor -Shape 1, 5, 7, 7 -Fill 1 | Trace-QuantizedConv -Layer $q -At 0, 1, 2, 9 -ErrorAction SilentlyContinue -ErrorVariable problems
        $t | Should -BeNullOrEmpty
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'InvalidShape,*'
    }
}

Describe 'A bias that is not a whole number of accumulator steps' {
    BeforeAll {
        # Accumulator 0, one accumulator step = 0.125; the output scale decides how finely we look.
        function Measure-Bias ([double] $Steps, [double] $OutputSteps, [int] $Kernel, [string] $Engine, [switch] $Compat) {
            $weight = New-QuantizedTensor -IntRepr (,0 * ($Kernel * $Kernel)) -Shape 1, 1, $Kernel, $Kernel -Scale 0.25 -DType qint8
            $layer = New-QuantizedConv -Weight $weight -Bias ($Steps * 0.125) -InputScale 0.5 -OutputScale ($OutputSteps * 0.125) -Engine $Engine -Compat:$Compat
            $x = New-QuantizedTensor -IntRepr (,0 * 9) -Shape 1, 1, 3, 3 -Scale 0.5 -DType quint8
            ($x | Invoke-QuantizedConv -Layer $layer)[0, 0, 0, 0]
        }
    }

    It 'of <Steps> steps at an output scale of <Out>, <Kernel>x<Kernel>: fbgemm <Fbgemm>, onednn <OneDnn>, qnnpack <Qnnpack>' -ForEach @(
        @{ Steps = 0.4;   Out = 0.01;  Kernel = 3; Fbgemm = 40;  OneDnn = 40;  Qnnpack = 0 }
        @{ Steps = 2.5;   Out = 0.02;  Kernel = 3; Fbgemm = 125; OneDnn = 125; Qnnpack = 100 }
        @{ Steps = 3.5;   Out = 0.02;  Kernel = 3; Fbgemm = 175; OneDnn = 175; Qnnpack = 200 }
        @{ Steps = 4.2e9; Out = 2.1e7; Kernel = 3; Fbgemm = 200; OneDnn = 200; Qnnpack = 0 }
        @{ Steps = 4.2e9; Out = 2.1e7; Kernel = 1; Fbgemm = 200; OneDnn = 200; Qnnpack = 102 }
        @{ Steps = 5e9;   Out = 1;     Kernel = 3; Fbgemm = 0;   OneDnn = 255; Qnnpack = 0 }
    ) {
        Measure-Bias $Steps $Out $Kernel fbgemm -Compat | Should -Be $Fbgemm
        Measure-Bias $Steps $Out $Kernel onednn -Compat | Should -Be $OneDnn
        Measure-Bias $Steps $Out $Kernel qnnpack -Compat | Should -Be $Qnnpack
    }

    It 'stays at the limit of int32 without -Compat, where the real QNNPACK flips its sign' {
        Measure-Bias 4.2e9 2.1e7 3 qnnpack | Should -Be 102
    }
}
