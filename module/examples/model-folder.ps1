<#
.SYNOPSIS
    A folder of models, quantized with one command; run again, it has nothing left to do.
.DESCRIPTION
    Three models that take Fashion-MNIST images: the two networks of data/ and a single convolution made here. They are calibrated with, and
    their error is measured on, images of the training set.

    Uses core commands and the language only, so that it runs in pwsh 7.6 and in QuantPS.Host alike.
.EXAMPLE
    dotnet run --project src/QuantPS.Host -- module/examples/model-folder.ps1
.EXAMPLE
    dotnet run --project src/QuantPS.Host -- module/examples/model-folder.ps1 -QConfig fbgemm -ThrottleLimit 2 -Destination ./int8
#>
param(
    # A preset: x86, fbgemm, onednn, qnnpack, onnxruntime.
    [string] $QConfig = 'x86',

    # How many models at a time.
    [int] $ThrottleLimit = 1,

    # How many images, at most 512.
    [ValidateRange(1, 512)]
    [int] $Images = 256,

    # Where the quantized models go; a folder of its own by default, removed at the end.
    [string] $Destination
)

$ErrorActionPreference = 'Stop'
Import-Module "$PSScriptRoot/../../QuantPS.psd1"

$data = "$PSScriptRoot/data"
$work = [IO.Directory]::CreateTempSubdirectory('quantps-').FullName
$output = if ($Destination) { $Destination } else { "$work/int8" }
try {
    $models = [IO.Directory]::CreateDirectory("$work/models").FullName
    foreach ($name in 'fmnist-resnet8-bn.onnx', 'fmnist-mobile-bn.onnx') { [IO.File]::Copy("$data/$name", "$models/$name") }
    New-Conv2d -InChannels 1 -OutChannels 8 -KernelSize 3 -Padding 1 -Seed 1 -Name edges | Export-QModel "$models/edges.onnx"

    # As the networks were trained: (pixel / 255 - 0.2860) / 0.3530.
    $x = Import-Tensor "$data/calib512-images-idx3-ubyte.gz" -Scale 255 -Mean 0.2860 -Std 0.3530 -BatchSize 32 -First $Images
    $job = @{ Path = "$models/*.onnx"; Destination = $output; Data = $x; QConfig = $QConfig; ThrottleLimit = $ThrottleLimit }

    # The job: a row for each model as it is finished.
    $first = @(Invoke-QuantizationJob @job)
    $first | Out-Default

    # Again: what is there is not made a second time.
    $second = @(Invoke-QuantizationJob @job)
    '{0} models done the first time, {1} skipped the second' -f @($first | Where-Object Status -EQ Done).Count, @($second | Where-Object Status -EQ Skipped).Count
}
finally {
    [IO.Directory]::Delete($work, $true)
}
