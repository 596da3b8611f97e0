BeforeAll { Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force }

Describe 'New-Tensor' {
    It 'fills' {
        $t = New-Tensor -Shape 2,3 -Fill 1.5
        $t.Shape | Should -Be 2, 3
        $t.ToArray() | Should -Be 1.5, 1.5, 1.5, 1.5, 1.5, 1.5
        (New-Tensor 2).ToArray() | Should -Be 0, 0
    }

    It 'takes values, row-major, and indices from either end' {
        $t = New-Tensor -Shape 2,3 -Value 1,2,3,4,5,6
        $t[1,2] | Should -Be 6
        $t[-2,0] | Should -Be 1
        $t[0,0] = 9
        $t[0,0] | Should -Be 9
        (New-Tensor 1,1,2,2 -Value 1,2,3,4)[0,0,1,0] | Should -Be 3
    }

    It 'makes a scalar' { (New-Tensor -Shape @() -Value 7).Rank | Should -Be 0 }

    It 'repeats random numbers by the seed, in [0, 1)' {
        $a = New-Tensor 1000 -Random -Seed 1; $b = New-Tensor 1000 -Random -Seed 1; $c = New-Tensor 1000 -Random -Seed 2
        "$($a.ToArray())" | Should -Be "$($b.ToArray())"
        "$($a.ToArray())" | Should -Not -Be "$($c.ToArray())"
        $a.Min() | Should -BeGreaterOrEqual 0
        $a.Max() | Should -BeLessThan 1
        [Math]::Abs($a.Mean() - 0.5) | Should -BeLessThan 0.05
    }

    It 'draws from the normal distribution' {
        $n = New-Tensor 20000 -Random -Normal -Seed 3
        [Math]::Abs($n.Mean()) | Should -BeLessThan 0.03
        $n.Min() | Should -BeLessThan -2.5
        $n.Max() | Should -BeGreaterThan 2.5
    }

    It 'is not unrolled by the pipeline' { @(New-Tensor 5 | ForEach-Object { $_ }).Count | Should -Be 1 }
}

Describe 'ConvertTo-Quantized and back' {
    It 'rounds half to even, clamps, and shows the integers' {
        $q = New-Tensor 6 -Value -1, 0.25, 0.75, 1.25, 63.6, 1000 | ConvertTo-Quantized -Scale 0.5 -ZeroPoint 2 -DType quint8
        # x / 0.5: -2, 0.5, 1.5, 2.5, 127.2, 2000
        $q.IntRepr() | Should -Be 0, 2, 4, 4, 129, 255
        , $q.IntRepr() | Should -BeOfType ([byte[]])
        ($q | ConvertFrom-Quantized).ToArray() | Should -Be -1, 0, 1, 1, 63.5, 126.5
    }

    It 'takes the dtype''s name <_>' -ForEach 'qint8', 'QInt8', 'torch.qint8' {
        $q = New-Tensor 1 -Fill -3 | ConvertTo-Quantized -Scale 1 -DType $_
        $q.DType | Should -Be 'QInt8'
        $q[0] | Should -Be -3
    }

    It 'is per channel along an axis' {
        $q = New-Tensor 2,2 -Value 1,2,3,4 | ConvertTo-Quantized -Scale 0.5,1 -ZeroPoint 0,1 -DType qint8 -Axis 0
        $q.IntRepr() | Should -Be 2, 4, 4, 5
        $q.Scale | Should -Be 0.5, 1
        $q.ZeroPoint | Should -Be 0, 1
        $q.Axis | Should -Be 0
        $q.Scheme | Should -Be 'PerChannelAffine'
        (New-Tensor 2,2 -Fill 1 | ConvertTo-Quantized -Scale 1,1 -Axis -1).Axis | Should -Be 1
    }

    It 'multiplies by the reciprocal as PyTorch, divides as ONNX' {
        # 1.5 and 2.5 steps of 0.1f, where the two rules round apart: found by comparing both on float32 values.
        $x = [float] 0.1
        $found = $null
        foreach ($i in 0..2000) {
            $v = [float] (($i + 0.5) * 0.1)
            if ([MathF]::Round($v * [float] (1 / $x)) -ne [MathF]::Round($v / $x)) { $found = $v; break }
        }
        $found | Should -Not -BeNullOrEmpty
        $torch = New-Tensor 1 -Fill $found | ConvertTo-Quantized -Scale 0.1 -DType qint32
        $onnx = New-Tensor 1 -Fill $found | ConvertTo-Quantized -Scale 0.1 -DType qint32 -Onnx
        [Math]::Abs($torch[0] - $onnx[0]) | Should -Be 1
    }

    It 'keeps where a tensor came from' {
        New-Tensor 2 -Fill 1 | Export-Tensor "$TestDrive/s.npy"
        (Import-Tensor "$TestDrive/s.npy" | ConvertTo-Quantized -Scale 1 | ConvertFrom-Quantized).Source | Should -BeLike '*s.npy'
    }
}

Describe 'New-QuantizedTensor' {
    It 'holds what it is given' {
        $q = New-QuantizedTensor -IntRepr 1,-2,3,-4 -Shape 2,2 -Scale 0.5 -ZeroPoint 1 -DType qint8
        $q.IntRepr() | Should -Be 1, -2, 3, -4
        $q.Dequantize().ToArray() | Should -Be 0, -1.5, 1, -2.5
        $q[1,1] | Should -Be -4
    }
}

Describe 'Export-Tensor' {
    It 'writes what Import-Tensor reads' {
        $t = New-Tensor 2,3,4 -Random -Seed 1
        $t | Export-Tensor "$TestDrive/a.npy"
        $back = Import-Tensor "$TestDrive/a.npy"
        "$($back.Shape) $($back.ToArray())" | Should -Be "$($t.Shape) $($t.ToArray())"
    }

    It 'writes the integers of a quantized tensor' {
        New-QuantizedTensor -IntRepr 1,2,200 -Shape 3 -Scale 0.1 -DType quint8 | Export-Tensor "$TestDrive/q.npy"
        (Import-Tensor "$TestDrive/q.npy").ToArray() | Should -Be 1, 2, 200
        [System.Text.Encoding]::Latin1.GetString([System.IO.File]::ReadAllBytes("$TestDrive/q.npy")) | Should -Match '\|u1'
    }

    It 'numbers the files of several tensors' {
        1..3 | ForEach-Object { New-Tensor 1 -Fill $_ } | Export-Tensor "$TestDrive/n-{0:D2}.npy"
        (Import-Tensor "$TestDrive/n-*.npy" | ForEach-Object { $_[0] }) | Should -Be 1, 2, 3
        [System.IO.File]::Exists("$TestDrive/n-00.npy") | Should -BeTrue
    }

    It 'writes one tensor to one path and says so' {
        $errors = @()
        1..3 | ForEach-Object { New-Tensor 1 -Fill $_ } | Export-Tensor "$TestDrive/one.npy" -ErrorAction SilentlyContinue -ErrorVariable errors
        @($errors).Count | Should -Be 2
        $errors[0].FullyQualifiedErrorId | Should -BeLike 'InvalidArgument*'
        (Import-Tensor "$TestDrive/one.npy")[0] | Should -Be 1
    }

    It 'refuses to overwrite without -Force, and leaves nothing behind' {
        New-Tensor 1 -Fill 1 | Export-Tensor "$TestDrive/f.npy"
        { New-Tensor 1 -Fill 2 | Export-Tensor "$TestDrive/f.npy" -ErrorAction Stop } | Should -Throw -ErrorId 'FileExists*'
        (Import-Tensor "$TestDrive/f.npy")[0] | Should -Be 1
        New-Tensor 1 -Fill 2 | Export-Tensor "$TestDrive/f.npy" -Force
        (Import-Tensor "$TestDrive/f.npy")[0] | Should -Be 2
        [System.IO.Directory]::GetFiles($TestDrive, '*.tmp').Count | Should -Be 0
    }

    It 'only says what it would do with -WhatIf' {
        New-Tensor 1 | Export-Tensor "$TestDrive/w.npy" -WhatIf
        "$TestDrive/w.npy" | Should -Not -Exist
    }

    It 'refuses what it cannot write' {
        { New-Tensor 1 | Export-Tensor "$TestDrive/x.png" -ErrorAction Stop } | Should -Throw -ErrorId 'FileFormat*'
        { New-Tensor 1 | Export-Tensor "$TestDrive/no/such/x.npy" -ErrorAction Stop } | Should -Throw -ErrorId 'FileNotWritable*'
    }

    It 'takes wildcard characters literally with -LiteralPath' {
        New-Tensor 1 -Fill 5 | Export-Tensor -LiteralPath "$TestDrive/a[1].npy"
        [System.IO.File]::Exists("$TestDrive/a[1].npy") | Should -BeTrue
        (Import-Tensor -LiteralPath "$TestDrive/a[1].npy")[0] | Should -Be 5
    }
}
