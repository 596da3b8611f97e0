# PyTorch's functions on quantized tensors, by their names. What each computes is checked against torch itself in the engine's tests.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    $a = New-QuantizedTensor -IntRepr 0, 64, 128, 255 -Shape 1, 1, 2, 2 -Scale 0.1 -ZeroPoint 64
    $b = New-QuantizedTensor -IntRepr 10, 20, 30, 40 -Shape 1, 1, 2, 2 -Scale 0.1 -ZeroPoint 20
}

Describe 'Invoke-QuantizedFunction' {
    It 'adds' {
        # (-6.4, 0, 6.4, 19.1) + (-1, 0, 1, 2) = (-7.4, 0, 7.4, 21.1), in steps of 0.2 around 100
        $y = $a | Invoke-QuantizedFunction add $b -Scale 0.2 -ZeroPoint 100
        $y.IntRepr() | Should -Be @(63, 100, 137, 206)
        $y.ZeroPoint | Should -Be 100
    }

    It 'adds and cuts off below zero' {
        ($a | Invoke-QuantizedFunction add_relu $b -Scale 0.2 -ZeroPoint 100).IntRepr() | Should -Be @(100, 100, 137, 206)
    }

    It 'pools with the keyword arguments of PyTorch' {
        $y = $a | Invoke-QuantizedFunction max_pool2d -Argument @{ kernel_size = 2; stride = 2 }
        $y.Shape | Should -Be @(1, 1, 1, 1)
        $y.IntRepr() | Should -Be 255
        $y.Scale | Should -Be $a.Scale
    }

    It 'joins any number of tensors along a dimension' {
        $y = $a | Invoke-QuantizedFunction cat $b, $a -Scale 0.1 -ZeroPoint 64 -Argument @{ dim = 1 }
        $y.Shape | Should -Be @(1, 3, 2, 2)
        # b's -1, 0, 1, 2 in a's parameters
        $y.IntRepr()[4..7] | Should -Be @(54, 64, 74, 84)
    }

    It 'gives sigmoid its fixed parameters' {
        $y = $a | Invoke-QuantizedFunction sigmoid
        $y.Scale | Should -Be (1 / 256)
        $y.IntRepr()[1] | Should -Be 128
    }

    It 'says which <What> it does not know' -ForEach @(
        @{ What = 'function'; Name = 'fly'; Arguments = @{}; Message = "*no quantized function 'fly'*add*" }
        @{ What = 'argument'; Name = 'max_pool2d'; Arguments = @{ size = 2 }; Message = "*no argument 'size'*kernel_size*" }
    ) {
        $problems = @()
        $y = $a | Invoke-QuantizedFunction $Name -Argument $Arguments -ErrorAction SilentlyContinue -ErrorVariable problems
        $y | Should -BeNullOrEmpty
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'InvalidArgument,*'
        $problems[0].Exception.Message | Should -BeLike $Message
    }

    It 'asks for the parameters of the result where a function needs them' {
        $problems = @()
        $a | Invoke-QuantizedFunction mul $b -ErrorAction SilentlyContinue -ErrorVariable problems
        $problems[0].Exception.Message | Should -BeLike '*scale and zero point of its result*'
    }
}

Describe 'Layers beside the convolution' {
    It 'Invoke-QuantizedLayer runs a linear layer' {
        $w = New-QuantizedTensor -IntRepr 1, 0, 0, 2 -Shape 2, 2 -Scale 1 -DType qint8
        $layer = New-QuantizedLinear -Weight $w -Bias 0, 1 -InputScale 1 -OutputScale 1
        $x = New-QuantizedTensor -IntRepr 3, 4 -Shape 1, 2 -Scale 1
        ($x | Invoke-QuantizedLayer -Layer $layer).IntRepr() | Should -Be @(3, 9)
    }

    It 'New-QuantizedConvTranspose makes a layer that spreads its input' {
        $w = New-QuantizedTensor -IntRepr 1, 2, 3, 4 -Shape 1, 1, 2, 2 -Scale 1 -DType qint8
        $layer = New-QuantizedConvTranspose -Weight $w -InputScale 1 -OutputScale 1 -Stride 2 -Engine qnnpack
        $x = New-QuantizedTensor -IntRepr 1, 2 -Shape 1, 1, 1, 2 -Scale 1
        $y = $x | Invoke-QuantizedLayer -Layer $layer
        $y.Shape | Should -Be @(1, 1, 2, 4)
        $y.IntRepr() | Should -Be @(1, 2, 2, 4, 3, 4, 6, 8)
    }

    It 'Invoke-QuantizedConv refuses a linear layer in words' {
        $w = New-QuantizedTensor -IntRepr 1 -Shape 1, 1 -Scale 1 -DType qint8
        $layer = New-QuantizedLinear -Weight $w -InputScale 1 -OutputScale 1
        { New-Tensor -Shape 1, 1 | Invoke-QuantizedConv -Layer $layer } | Should -Throw -ErrorId 'NotASingleLayer,*'
    }

    It 'New-QuantizedConv makes 1-D and 3-D convolutions by the rank of the weight' {
        $w = New-QuantizedTensor -IntRepr 1, 1 -Shape 1, 1, 2 -Scale 1 -DType qint8
        $x = New-QuantizedTensor -IntRepr 1, 2, 3 -Shape 1, 1, 3 -Scale 1
        ($x | Invoke-QuantizedConv -Layer (New-QuantizedConv -Weight $w -InputScale 1 -OutputScale 1)).IntRepr() | Should -Be @(3, 5)
    }
}
