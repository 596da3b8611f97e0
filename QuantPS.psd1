@{
    RootModule           = 'module/bin/QuantPS.dll'
    ModuleVersion        = '0.1.0'
    GUID                 = '6b1d2f0e-7c43-4a59-9d1e-5f0a8c2e7b34'
    Author               = 'QuantPS contributors'
    CompanyName          = 'QuantPS contributors'
    Copyright            = '(c) 2026 QuantPS contributors. MIT licence.'
    Description          = 'Quantizes neural networks to int8 after training, with PyTorch''s arithmetic bit for bit, on ONNX models.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    FormatsToProcess     = @('module/QuantPS.Format.ps1xml', 'module/QuantPS.Models.Format.ps1xml')
    FunctionsToExport    = @()
    AliasesToExport      = @()
    VariablesToExport    = @()
    # Listed, so that command discovery need not load the assembly.
    CmdletsToExport      = @(
        'Compare-QModel'
        'ConvertFrom-Quantized'
        'ConvertTo-Quantized'
        'Export-Calibration'
        'Export-QModel'
        'Export-Tensor'
        'Get-QConfig'
        'Get-QHistogram'
        'Get-QLayer'
        'Import-Calibration'
        'Import-QModel'
        'Import-Tensor'
        'Invoke-Calibration'
        'Invoke-QModel'
        'Invoke-QuantizationJob'
        'Invoke-QuantizedConv'
        'Invoke-QuantizedFunction'
        'Invoke-QuantizedLayer'
        'Measure-QModel'
        'Merge-Calibration'
        'New-Conv2d'
        'New-Linear'
        'New-QConfig'
        'New-QuantizedConv'
        'New-QuantizedConvTranspose'
        'New-QuantizedLinear'
        'New-QuantizedTensor'
        'New-Tensor'
        'Trace-QuantizedConv'
    )
    PrivateData          = @{
        PSData = @{
            Tags       = @('quantization', 'int8', 'onnx', 'pytorch', 'neural-network', 'PSEdition_Core', 'Windows', 'Linux', 'MacOS')
            LicenseUri = 'https://opensource.org/license/mit'
        }
    }
}
