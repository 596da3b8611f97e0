# Models with several inputs, and with inputs of other types than float32, at the prompt.

BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    # input_ids int64 [N, S], attention_mask bool [N, S]; Gather of a table, MatMul, Relu, times the mask, ReduceMean, Gemm; logits [N, 4] and their ArgMax, int64.
    $bytes = [Convert]::FromBase64String('CAcSADrXCgokCgV0YWJsZQoJaW5wdXRfaWRzEgFlGgVlbWJlZCIGR2F0aGVyChcKAWUKAXcSAW0aBHByb2oiBk1hdE11bAoSCgFtEgFyGgRyZWx1IgRSZWx1CisKDmF0dGVudGlvbl9tYXNrEgJtZhoEbWFzayIEQ2FzdCoJCgJ0bxgBoAECCh8KAm1mCgN0d28SAm11GgV3aWRlbiIJVW5zcXVlZXplChgKAXIKAm11EgJybRoGbWFza2VkIgNNdWwKOgoCcm0SBG1lYW4aBG1lYW4iClJlZHVjZU1lYW4qCwoEYXhlc0ABoAEHKg8KCGtlZXBkaW1zGACgAQIKIAoEbWVhbgoBdgoBYhIGbG9naXRzGgRoZWFkIgRHZW1tCjwKBmxvZ2l0cxIFbGFiZWwaBWxhYmVsIgZBcmdNYXgqCwoEYXhpcxgBoAECKg8KCGtlZXBkaW1zGACgAQISCWVtYmVkZGluZyrwAwgUCAYQAUIFdGFibGVK4AMAAIC9AAAAPQAAKD8AAJA/AACYvwAAaL8AAFA/AACQPwAAIL8AAPC+AABwPwAAQL4AABC/AABYPwAAIL8AAGC+AADAPgAAAD4AAIi/AACYvwAAcD8AACg/AABYPwAAwD0AAFA/AADgvgAAAL4AADg/AABwvwAAAL8AAHC/AAAAvgAAnD8AAHC/AACQvgAAgL4AAIQ/AABAvwAAAAAAABi/AACcvwAAID8AAIy/AAAQvwAAAAAAAAC9AAB4vwAAnD8AACA/AACUPwAAhL8AABA/AAAIvwAAwD0AAIg/AAAQvwAAED8AAFi/AADgvgAAmD8AAEC+AAAAPQAACL8AAHi/AABAvgAAoD4AAAC+AAAwPwAAsL4AAJA+AAAwPwAAiD8AAEC+AACUvwAAED8AAIA9AABwPwAAwL0AALC+AACMvwAAwL0AALA+AAAwPwAAaD8AADi/AACAPgAASD8AABi/AADQvgAAYD8AAGA+AAAAPQAA4D4AAAA9AACcPwAAID8AAJC/AABovwAAAD4AAFA/AACMvwAA8D4AACg/AAA4PwAAcD8AAEi/AAAAPgAAQD8AAMC+AABIvwAAgL0AAIi/AAA4vwAAaD8AAOA+AABoPwAAYD8AAHA/AADwvgAAgL0qzAEIBggIEAFCAXdKwAEAAKA+AAAQvwAAiD8AAKC/AABYPwAAwD4AACC/AAAQPwAAYL4AAFg/AACgPwAAEL8AAIC9AAA4vwAAAD8AALA+AABgPwAASD8AAJw/AACYPwAAgD8AAGC/AACUvwAAAL0AANC+AACAPwAAQD8AAEC+AABAPgAAYD4AAIA/AACcvwAAAL0AAOA+AAAAvgAAiD8AAJA/AABQPwAAwL0AAHg/AACMvwAA0D4AABi/AAAovwAA8D4AADA/AAB4PwAAOL8qjAEICAgEEAFCAXZKgAEAAHA/AABYPwAA8L4AAIy/AAAwPwAAUD8AAMC9AABYvwAAaL8AAKC+AAAoPwAA8L4AAJi/AADwPgAAID8AAFC/AAAgPgAAgL4AAAAAAACgvwAAsD4AABi/AAAAPgAAQL4AAJA+AACAvwAAsL4AALA+AAAwPwAAoL4AAJy/AAAQPyoZCAQQAUIBYkoQAAAAAAAAwD4AAGC/AABAvioTCAEQB0IDdHdvSggCAAAAAAAAAFodCglpbnB1dF9pZHMSEAoOCAcSCgoDEgFOCgMSAVNaIgoOYXR0ZW50aW9uX21hc2sSEAoOCAkSCgoDEgFOCgMSAVNiGQoGbG9naXRzEg8KDQgBEgkKAxIBTgoCCARiFAoFbGFiZWwSCwoJCAcSBQoDEgFOQgQKABAN')
    [IO.File]::WriteAllBytes("$TestDrive/embedding.onnx", $bytes)
    $net = Import-QModel "$TestDrive/embedding.onnx"
    function New-Sentence ([int] $Seed) {
        $random = [Random]::new($Seed)
        @{ input_ids = New-Tensor -Shape 2, 5 -Value (1..10 | ForEach-Object { $random.Next(20) }); attention_mask = New-Tensor -Shape 2, 5 -Value (1..10 | ForEach-Object { $random.Next(2) }) }
    }
    $sentences = @(1..16 | ForEach-Object { New-Sentence $_ })
    $q = $sentences | Invoke-Calibration $net -QConfig onnxruntime | ConvertTo-Quantized
}

Describe 'A model of token ids and a mask' {
    It 'runs on hashtables, one a run' {
        $y = @($sentences[0..2] | Invoke-QModel $net)
        $y.Name | Should -Be 'logits', 'label', 'logits', 'label', 'logits', 'label'
        $y[0].Shape | Should -Be 2, 4
        $y[0].ToArray()[0] | Should -BeGreaterThan 0.0968
        $y[0].ToArray()[0] | Should -BeLessThan 0.0969
        $y[1].ToArray() | Should -Be 0, 0
    }

    It 'takes names in any case, and a sentence without the batch dimension' {
        $y = @(@{ INPUT_IDS = New-Tensor 3 -Value 1, 2, 19; Attention_Mask = New-Tensor 3 -Fill 1 } | Invoke-QModel $net)
        $same = @(@{ input_ids = New-Tensor 1, 3 -Value 1, 2, 19; attention_mask = New-Tensor 1, 3 -Fill 1 } | Invoke-QModel $net)
        $y[0].ToArray() | Should -Be $same[0].ToArray()
    }

    It 'takes ids from files, .pb and .npy alike' {
        # dims 1, 3; int64; raw_data 1, 2, 19.
        [IO.File]::WriteAllBytes("$TestDrive/ids.pb", [Convert]::FromHexString('080108031007' + '4a18' + '0100000000000000' + '0200000000000000' + '1300000000000000'))
        New-Tensor 1, 3 -Fill 1 | Export-Tensor "$TestDrive/mask.npy"
        $y = @(@{ input_ids = Import-Tensor "$TestDrive/ids.pb"; attention_mask = Import-Tensor "$TestDrive/mask.npy" } | Invoke-QModel $net)
        $same = @(@{ input_ids = New-Tensor 1, 3 -Value 1, 2, 19; attention_mask = New-Tensor 1, 3 -Fill 1 } | Invoke-QModel $net)
        $y[0].ToArray() | Should -Be $same[0].ToArray()
    }

    It 'is calibrated, quantized and compared' {
        $q.Quantized | Should -Be '4/8'
        @($q | Get-QLayer | Where-Object IsQuantized).Name | Should -Be 'embed', 'proj', 'head', 'label'
        ($sentences | Invoke-Calibration $net).Samples | Should -Be 32
        $sentences | Compare-QModel $q | ForEach-Object { $_.SqnrDb | Should -BeGreaterThan 30 -Because $_.Layer }
        ($sentences | Measure-QModel $q).Samples | Should -Be 32
    }

    It 'gives the same on both runtimes, from both forms of file' {
        $float = @($sentences[0] | Invoke-QModel $net)
        foreach ($runtime in 'QuantPS', 'OnnxRuntime') {
            $results = @(, @($sentences[0] | Invoke-QModel $q -Runtime $runtime))
            foreach ($format in 'QDQ', 'QOperator') {
                $q | Export-QModel "$TestDrive/$format.onnx" -Format $format -Force
                $results += , @($sentences[0] | Invoke-QModel "$TestDrive/$format.onnx" -Runtime $runtime)
            }
            foreach ($y in $results) {
                $y.Name | Should -Be 'logits', 'label'
                $y[1].ToArray() | Should -Be $float[1].ToArray()
                for ($i = 0; $i -lt 8; $i++) { [Math]::Abs($y[0].ToArray()[$i] - $float[0].ToArray()[$i]) | Should -BeLessThan 0.05 }
                "$($y[0].ToArray())" | Should -Be "$($results[0][0].ToArray())"
            }
        }
    }

    It 'is quantized by a job' {
        [IO.Directory]::CreateDirectory("$TestDrive/in") | Out-Null
        [IO.File]::WriteAllBytes("$TestDrive/in/embedding.onnx", $bytes)
        $result = Invoke-QuantizationJob "$TestDrive/in/*.onnx" "$TestDrive/out" $sentences -QConfig onnxruntime
        "$($result.Status)" | Should -Be Done
        $result.SqnrDb | Should -BeGreaterThan 30
        $result.Samples | Should -Be 32
    }
}

Describe 'What does not fit an input' {
    It 'is named with the input, the place and the value: <What>' -ForEach @(
        @{ What = 'a fraction'; Ids = 1, 1.5; Mask = 1; Words = "*'input_ids'*Int64*1.5 at*0, 1*" }
        @{ What = 'a two for a boolean'; Ids = 1, 2; Mask = 2; Words = "*'attention_mask'*booleans*2 at*0, 0*" }
        @{ What = 'NaN'; Ids = 1, [float]::NaN; Mask = 1; Words = "*'input_ids'*NaN at*0, 1*" }
        @{ What = 'beyond int64'; Ids = 1, 1e19; Mask = 1; Words = "*'input_ids'*1E+19 at*0, 1*" }
    ) {
        $problems = @()
        $y = @(@{ input_ids = New-Tensor 1, 2 -Value $Ids; attention_mask = New-Tensor 1, 2 -Fill $Mask }, $sentences[0] | Invoke-QModel $net -ErrorAction SilentlyContinue -ErrorVariable problems)
        $y | Should -HaveCount 2
        $problems | Should -HaveCount 1
        $problems[0].FullyQualifiedErrorId | Should -BeLike 'UnsupportedDType,*'
        $problems[0].Exception.Message | Should -BeLike $Words
    }

    It 'is a bad record: <What>' -ForEach @(
        @{ What = 'an input too few'; Given = { @{ input_ids = New-Tensor 1, 2 } }; Words = "*'attention_mask'*not given*" }
        @{ What = 'an input too many'; Given = { $sentences[0] + @{ more = New-Tensor 1 } }; Words = "*no input 'more'*" }
        @{ What = 'a single tensor'; Given = { New-Tensor 1, 2 }; Words = '*2 inputs*hashtable*input_ids = ...; attention_mask = ...*' }
        @{ What = 'a number for a tensor'; Given = { @{ input_ids = 5; attention_mask = 1 } }; Words = '*Int32*Tensor is wanted*' }
    ) {
        foreach ($target in 'Invoke-QModel', 'Invoke-Calibration') {
            $problems = @()
            $null = @(& { & $Given; $sentences[0] } | & $target $net -ErrorAction SilentlyContinue -ErrorVariable problems)
            $problems | Should -HaveCount 1
            $problems[0].FullyQualifiedErrorId | Should -BeLike 'InvalidArgument,*'
            $problems[0].Exception.Message | Should -BeLike $Words
        }
    }

    It 'may be NaN or infinite where the model is float: a mask of -infinity' {
        $conv = New-Conv2d 1 1 1 -Weight 1
        $y = New-Tensor 1, 1, 1, 2 -Fill ([float]::NegativeInfinity) | Invoke-QModel $conv
        $y.ToArray() | Should -Be ([float]::NegativeInfinity), ([float]::NegativeInfinity)
    }
}
