<#
.SYNOPSIS
    A float ONNX network, real images, int8: calibrated, quantized, run, compared, exported.
.DESCRIPTION
    The networks are small (ResNet-8 and a MobileNet-like one, trained on Fashion-MNIST, BatchNormalization kept as the trainer left it); the
    images are 512 of the training set for calibration and the first 2,000 of the test set. Everything is in data/ beside this script.

    Uses core commands and the language only, so that it runs in pwsh 7.6 and in QuantPS.Host alike.
.EXAMPLE
    dotnet run --project src/QuantPS.Host -- module/examples/fashion-mnist.ps1
.EXAMPLE
    dotnet run --project src/QuantPS.Host -- module/examples/fashion-mnist.ps1 -Network mobile -QConfig onednn
#>
param(
    # resnet8 or mobile.
    [ValidateSet('resnet8', 'mobile')]
    [string] $Network = 'resnet8',

    # A preset: x86, fbgemm, onednn, qnnpack, onnxruntime.
    [string] $QConfig = 'x86',

    # How many test images, at most 2,000.
    [ValidateRange(1, 2000)]
    [int] $TestImages = 2000,

    # Where the int8 network goes; a folder of its own by default, removed at the end.
    [string] $Destination
)

$ErrorActionPreference = 'Stop'
Import-Module "$PSScriptRoot/../../QuantPS.psd1"

$data = "$PSScriptRoot/data"
$labels = "$data/test2000-labels-idx1-ubyte.gz"
$temporary = if (-not $Destination) { [IO.Directory]::CreateTempSubdirectory('quantps-').FullName }
$output = if ($Destination) { $Destination } else { "$temporary/fmnist-$Network-int8.onnx" }

# As the networks were trained: (pixel / 255 - 0.2860) / 0.3530.
$normalize = @{ Scale = 255; Mean = 0.2860; Std = 0.3530; BatchSize = 32 }
function Import-TestImage { Import-Tensor "$data/test2000-images-idx3-ubyte.gz" @normalize -First $TestImages }

try {
    # The main job: four lines.
    $net         = Import-QModel "$data/fmnist-$Network-bn.onnx"
    $calibration = Import-Tensor "$data/calib512-images-idx3-ubyte.gz" @normalize | Invoke-Calibration -Model $net -QConfig $QConfig
    $quantized   = $calibration | ConvertTo-Quantized
    $quantized   | Export-QModel -Path $output -Format QDQ -Force

    # What came of it. Out-Default, because objects of several kinds in one stream are shown as lists from the second kind on.
    $quantized | Out-Default
    $quantized | Get-QLayer | Out-Default

    $float = Import-TestImage | Measure-QModel -Model $net -Labels $labels
    $int8  = Import-TestImage | Measure-QModel -Model $quantized -Labels $labels
    $exported = Import-QModel $output
    $ort   = Import-TestImage | Measure-QModel -Model $exported -Runtime OnnxRuntime -Labels $labels
    $float, $int8, $ort | Out-Default

    # Do our int8 runtime and ONNX Runtime, on the exported file, give every image the same class?
    $ours   = Import-TestImage | Invoke-QModel -Model $quantized | ForEach-Object { $_.ArgMax() }
    $theirs = Import-TestImage | Invoke-QModel -Model $exported -Runtime OnnxRuntime | ForEach-Object { $_.ArgMax() }
    $same = 0
    for ($i = 0; $i -lt $ours.Count; $i++) { if ($ours[$i] -eq $theirs[$i]) { $same++ } }

    $floatSize = [IO.FileInfo]::new("$data/fmnist-$Network-bn.onnx").Length
    $int8Size  = [IO.FileInfo]::new($output).Length
    'Float top-1       {0:F2} % of {1} images' -f $float.Top1, $float.Samples
    'int8 top-1        {0:F2} %, a drop of {1:F2} points' -f $int8.Top1, ($float.Top1 - $int8.Top1)
    'ONNX Runtime      runs the exported file to {0:F2} %; same class as our int8 runtime on {1:F2} % of the images' -f $ort.Top1, (100 * $same / $ours.Count)
    'File              {0:N0} -> {1:N0} bytes' -f $floatSize, $int8Size
    if ($Destination) { "Written to        $output" }
}
finally {
    if ($temporary) { [IO.Directory]::Delete($temporary, $true) }
}
