# ONNX's own node tests (Debian: libonnx-testdata) through the commands: Import-QModel, Import-Tensor, Invoke-QModel.

BeforeDiscovery {
    $folder = '/usr/share/libonnx-testdata/data/node'
    if (-not [IO.Directory]::Exists($folder)) { $folder = '' }
}

Describe 'Node tests of the ONNX standard' -Skip:(-not $folder) {
    BeforeAll {
        Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
        $folder = '/usr/share/libonnx-testdata/data/node'

        # The outputs that differ from the stored ones, in words. |actual - expected| at most 1e-7 + 1e-3 |expected|, onnx.backend.test's own; integers alike.
        function Compare-Output ($Model, $Actual, $Set) {
            for ($i = 0; $i -lt $Actual.Count; $i++) {
                $y, $e = $Actual[$i], (Import-Tensor -LiteralPath "$Set/output_$i.pb")
                if ("$($y.Shape)" -ne "$($e.Shape)") { return "output $i has the shape [$($y.Shape)], not [$($e.Shape)]" }
                $b, $a = $e.ToArray(), $null
                if ($y.GetType().Name -eq 'Tensor') { $a = $y.ToArray() } else { $a = [float[]] $y.IntRepr() }
                if ([Linq.Enumerable]::SequenceEqual($a, $b)) { continue }
                if ($y.GetType().Name -ne 'Tensor') { return "output $i has other integers" }
                for ($k = 0; $k -lt $a.Length; $k++) {
                    $off = [Math]::Abs($a[$k] - $b[$k])
                    if ($off -gt 1e-7 + 1e-3 * [Math]::Abs($b[$k]) -or ([float]::IsNaN($off) -and "$($a[$k])" -ne "$($b[$k])")) { return "output $i has $($a[$k]) at $k, not $($b[$k])" }
                }
            }
        }

        # '' when every data set gives what is stored; otherwise why it was not run, or what is wrong.
        function Test-Node ($Path) {
            $model = Import-QModel "$Path/model.onnx" -ErrorAction Stop
            foreach ($set in [IO.Directory]::GetDirectories($Path, 'test_data_set_*')) {
                $given = [Collections.Generic.Dictionary[string, object]]::new()
                $names = @($model.Inputs | ForEach-Object { $_ -replace ' \[.*$' })
                for ($i = 0; $i -lt $names.Count; $i++) { $given[$names[$i]] = Import-Tensor -LiteralPath "$set/input_$i.pb" -ErrorAction Stop }
                $wrong = Compare-Output $model @(, $given | Invoke-QModel $model -ErrorAction Stop) $set
                if ($wrong) { return $wrong }
            }
        }

        $results = foreach ($path in [Linq.Enumerable]::Order([string[]] [IO.Directory]::GetDirectories($folder), [StringComparer]::Ordinal)) {
            $name = [IO.Path]::GetFileName($path)
            try { [pscustomobject] @{ Name = $name; Wrong = "$(Test-Node $path)"; Refused = '' } }
            catch { [pscustomobject] @{ Name = $name; Wrong = ''; Refused = "$($_.FullyQualifiedErrorId -replace ',.*'): $($_.Exception.Message)" } }
        }
    }

    It 'are all there' { $results.Count | Should -BeGreaterThan 900 }

    It 'give the stored outputs, but for what is known of ONNX Runtime' {
        # The first two are random numbers; the others are on the list of deviations of ONNX Runtime's own tests (onnx_backend_test_series_filters.jsonc)
        # or meet its looser tolerance for sums that cancel.
        $known = [ordered] @{
            'test_bernoulli*' = 'random'; 'test_training_dropout*' = 'random'
            'test_cast_FLOAT_to_BFLOAT16' = 'the stored tensor says uint16'
            'test_dft*' = 'zeros to 1e-4'; 'test_stft*' = 'zeros to 1e-5'
            'test_maxunpool_export_with_output_shape' = 'deviates'; 'test_resize_downsample_scales_*_align_corners' = 'deviates'
        }
        $unknown = @($results | Where-Object { $r = $_; $r.Wrong -and -not ($known.Keys | Where-Object { $r.Name -like $_ }) })
        $unknown | ForEach-Object { "$($_.Name): $($_.Wrong)" } | Should -BeNullOrEmpty
        $passed = @($results | Where-Object { -not $_.Wrong -and -not $_.Refused })
        [Console]::WriteLine("Node tests: $($results.Count), passed $($passed.Count), differ as known $(@($results | Where-Object Wrong).Count), not claimed $(@($results | Where-Object Refused).Count)")
        $passed.Count | Should -BeGreaterOrEqual 850
    }

    It 'are refused only where ONNX Runtime has no kernel, or a value has no form at the prompt' {
        $reasons = [ordered] @{
            'ONNX Runtime cannot load' = '*: ONNX Runtime cannot load *'
            'sequences and optional values' = 'File*: *no TensorProto*', 'FileFormat: *a list of tensors*', '*is not a tensor, which has no form at the prompt*'
            'strings' = "UnsupportedDType: *elements of ONNX's type 8*", '*is String, which has no form at the prompt*'
            'bfloat16 data stored as uint16' = "*castlike_*BFLOAT16*", "*takes numbers of type Bfloat16*cast_BFLOAT16*"
        }
        $rest = @($results | Where-Object Refused)
        foreach ($reason in $reasons.Keys) {
            $fits = @($rest | Where-Object { $r = $_; $reasons[$reason] | Where-Object { $r.Refused -like $_ } })
            [Console]::WriteLine("  $reason`: $($fits.Count)")
            $fits.Count | Should -BeGreaterThan 0 -Because $reason
            $rest = @($rest | Where-Object { $_.Name -notin $fits.Name })
        }
        $rest | ForEach-Object { "$($_.Name): $($_.Refused)" } | Should -BeNullOrEmpty
    }

    It 'of <_> all pass, and of what it is expanded to' -ForEach 'qlinearconv', 'qlinearmatmul', 'basic_convinteger', 'convinteger_with', 'matmulinteger', 'quantizelinear', 'dequantizelinear', 'dynamicquantizelinear' {
        $name = $_
        $of = @($results | Where-Object { $_.Name -like "test_$name*" })
        $of.Count | Should -BeGreaterThan 0
        $of | Where-Object { $_.Wrong -or $_.Refused } | Should -BeNullOrEmpty
    }
}
