<#
.SYNOPSIS
    PyTorch says that the bias of a quantized Conv2d stays float. How, then, does it get into the int32 accumulator?
.DESCRIPTION
    First the example that asked the question: a Conv2d(5, 2, 3) with all-zero weights and a bias of 0.5, calibrated with a thousand
    tensors of ones, quantized, and run. Then the answer, engine by engine, from the module's own traces: what becomes of the bias, what it
    is added to, what the sum is multiplied with, and how it is rounded. Last, a bias that makes the engines disagree.

    Uses core commands and the language only, so that it runs in pwsh 7.6 and in QuantPS.Host alike.
#>
Import-Module "$PSScriptRoot/../../QuantPS.psd1"

function Show-Heading ([string] $Text) { ''; $Text; '-' * $Text.Length }

# ---------------------------------------------------------------------------------------------------------------------------------------
Show-Heading 'The example'

$conv = New-Conv2d -InChannels 5 -OutChannels 2 -KernelSize 3 -Weight 0 -Bias 0.5
$cfg  = New-QConfig -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme per_channel_affine
$q    = 1..1000 | ForEach-Object { New-Tensor -Shape 2,5,7,7 -Fill 1 } | Invoke-Calibration -Model $conv -QConfig $cfg | ConvertTo-Quantized
$y    = New-Tensor -Shape 1,5,7,7 -Fill 1 | Invoke-QuantizedConv -Layer $q

$layer = ($q | Get-QLayer).Layer
"integers     $($y.IntRepr())"
'scale        {0}' -f $y.Scale
"zero point   $($y.ZeroPoint)"
"real value   $($y.Dequantize()[0,0,0,0])"
"bias         $($layer.Bias) ($($layer.Bias.GetType().Name): it stays float)"

# ---------------------------------------------------------------------------------------------------------------------------------------
Show-Heading 'The answer, engine by engine'

$ones = New-Tensor -Shape 1,5,7,7 -Fill 1
foreach ($engine in 'fbgemm', 'x86', 'qnnpack', 'onednn', 'onnxruntime') {
    $quantized = $null
    foreach ($scheme in 'per_channel_affine', 'per_channel_symmetric') {
        $cfg = New-QConfig -Backend $engine -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme $scheme
        $refused = @()
        $quantized = $ones | Invoke-Calibration -Model $conv -QConfig $cfg | ConvertTo-Quantized -ErrorAction SilentlyContinue -ErrorVariable refused
        if ($quantized) { break }
        ''
        "$engine with ${scheme}: refused. $($refused[0].Exception.Message)"
    }
    $layer = ($quantized | Get-QLayer).Layer
    $t = $ones | Trace-QuantizedConv -Layer $layer -At 0,0,2,2
    ''
    "$engine with $scheme weights" + $(if ("$($t.Engine)" -ne $engine) { " (this layer runs on $("$($t.Engine)".ToLowerInvariant()))" })
    "    weight               integers $($layer.Weight[0,0,0,0]), scale $('{0:G9}' -f $layer.Weight.Scale[0]), zero point $($layer.Weight.ZeroPoint[0])"
    "    accumulator          $($t.RawDotProduct) raw, corrected for zero points $($t.Accumulator), int32"
    "    one step of it       $('{0:G9}' -f $t.BiasScale) = input scale x weight scale"
    "    bias in steps        $('{0:F3}' -f $t.BiasInSteps)"
    if ($null -ne $t.IntegerBias) {
        "    bias taken in as     int32 $($t.IntegerBias), which costs $('{0:0.##E+0}' -f $t.BiasError)"
        "    room left in int32   a bias $('{0:F4}' -f $t.BiasHeadroom) times as big would no longer fit (2147483647)"
    }
    else {
        '    bias taken in as     float32, added after the int32 sum is complete; it never becomes an integer'
    }
    "    formula              $($t.Formula)"
    "    multiplier           $('{0:G9}' -f $t.Multiplier) (float32)"
    "    before rounding      $('{0:G9}' -f $t.BeforeRounding), zero point $(if ($t.ZeroPointBeforeRounding) { 'already' } else { 'not yet' }) in it"
    "    output               $($t.Output), that is $('{0:G7}' -f $t.OutputReal); the float layer says $($t.FloatValue)"
}

# ---------------------------------------------------------------------------------------------------------------------------------------
Show-Heading 'Where it matters: biases that are not whole accumulator steps, or too many of them'

# Accumulator 0 and one accumulator step = 0.125, so that a bias of b steps is b / 8; the output scale decides how finely we look.
function Measure-Bias ([double] $Steps, [double] $OutputSteps, [int] $Kernel, [string] $Engine) {
    $weight = New-QuantizedTensor -IntRepr (,0 * ($Kernel * $Kernel)) -Shape 1,1,$Kernel,$Kernel -Scale 0.25 -ZeroPoint 0 -DType qint8
    $layer = New-QuantizedConv -Weight $weight -Bias ($Steps * 0.125) -InputScale 0.5 -OutputScale ($OutputSteps * 0.125) -Engine $Engine -Compat
    $x = New-QuantizedTensor -IntRepr (,0 * 9) -Shape 1,1,3,3 -Scale 0.5 -ZeroPoint 0 -DType quint8
    ($x | Invoke-QuantizedConv -Layer $layer)[0,0,0,0]
}

$line = '{0,-34} {1,6} {2,8} {3,8} {4,8}'
$line -f 'bias, output scale (in steps)', 'exact', 'fbgemm', 'onednn', 'qnnpack'
$probes = @(
    @{ Text = '0.4, 0.01';          Steps = 0.4;   Out = 0.01;  Kernel = 3; Exact = 40 }
    @{ Text = '2.5, 0.02';          Steps = 2.5;   Out = 0.02;  Kernel = 3; Exact = 125 }
    @{ Text = '3.5, 0.02';          Steps = 3.5;   Out = 0.02;  Kernel = 3; Exact = 175 }
    @{ Text = '4.2e9, 2.1e7 (3x3)'; Steps = 4.2e9; Out = 2.1e7; Kernel = 3; Exact = 200 }
    @{ Text = '4.2e9, 2.1e7 (1x1)'; Steps = 4.2e9; Out = 2.1e7; Kernel = 1; Exact = 200 }
    @{ Text = '5e9, 1';             Steps = 5e9;   Out = 1;     Kernel = 3; Exact = 255 }
)
foreach ($p in $probes) {
    $out = foreach ($engine in 'fbgemm', 'onednn', 'qnnpack') { Measure-Bias $p.Steps $p.Out $p.Kernel $engine }
    $line -f $p.Text, $p.Exact, $out[0], $out[1], $out[2]
}
''
'QNNPACK rounds the bias to whole accumulator steps, halves to even, and saturates it at 2147483647; general convolutions of the real'
'engine then flip the saturated bias to -2147483648 (shown here with -Compat). FBGEMM and oneDNN keep the fraction. A result of 2^31'
'output steps or more overflows the conversion to int32 in FBGEMM and QNNPACK and comes out as the minimum; oneDNN clamps first.'
