BeforeAll { Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force }

Describe 'The manifest' {
    It 'is valid and names its edition and PowerShell version' {
        $manifest = Test-ModuleManifest "$PSScriptRoot/../../QuantPS.psd1"
        $manifest.Name | Should -Be 'QuantPS'
        $manifest.CompatiblePSEditions | Should -Be 'Core'
        $manifest.PowerShellVersion | Should -Be '7.6'
    }

    It 'lists every cmdlet of the assembly, and only those' {
        $module = Get-Module QuantPS
        $types = $module.ImplementingAssembly.GetExportedTypes() | Where-Object { -not $_.IsAbstract -and $_.IsDefined([System.Management.Automation.CmdletAttribute], $false) }
        $implemented = $types | ForEach-Object { $a = $_.GetCustomAttributes([System.Management.Automation.CmdletAttribute], $false)[0]; "$($a.VerbName)-$($a.NounName)" }
        $listed = (Test-ModuleManifest "$PSScriptRoot/../../QuantPS.psd1").ExportedCmdlets.Keys
        [System.Linq.Enumerable]::Order([string[]] $implemented) -join ' ' | Should -Be ([System.Linq.Enumerable]::Order([string[]] $listed) -join ' ')
        $module.ExportedCmdlets.Count | Should -Be $listed.Count
    }

    It 'has a view file that loads' { "$((Get-Module QuantPS).ExportedFormatFiles)" | Should -BeLike '*QuantPS.Format.ps1xml*' }
}

Describe 'Assemblies of other modules' {
    BeforeAll {
        # Assemblies without any content, of other versions, as another module would bring them into the default context.
        foreach ($name in 'StbImageSharp', 'Google.Protobuf') {
            $builder = [System.Reflection.Emit.PersistedAssemblyBuilder]::new([System.Reflection.AssemblyName]::new("$name, Version=0.0.0.1"), [object].Assembly)
            $null = $builder.DefineDynamicModule($name)
            [System.IO.Directory]::CreateDirectory("$TestDrive/$name")
            $builder.Save("$TestDrive/$name/$name.dll")
            $bytes = [System.IO.File]::ReadAllBytes("$TestDrive/$name/$name.dll")
            $null = [System.Runtime.Loader.AssemblyLoadContext]::Default.LoadFromStream([System.IO.MemoryStream]::new($bytes))
        }
        function Get-Context ([string] $Name) {
            [System.AppDomain]::CurrentDomain.GetAssemblies() | Where-Object { $_.GetName().Name -eq $Name } |
                ForEach-Object { "$([System.Runtime.Loader.AssemblyLoadContext]::GetLoadContext($_).Name) $($_.GetName().Version)" }
        }
    }

    It 'do not clash with ours' {
        Get-Context StbImageSharp | Should -Contain 'Default 0.0.0.1'
        [System.IO.File]::WriteAllBytes("$TestDrive/a.png", [System.Convert]::FromBase64String('iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNgMGZI+w8AAp0BmS9udAMAAAAASUVORK5CYII='))
        (Import-Tensor "$TestDrive/a.png" -ErrorAction Stop).ToArray() | Should -Be 0, 51, 102, 255
        @(Get-Context StbImageSharp) -like 'QuantPS 2.*' | Should -Not -BeNullOrEmpty
    }

    It 'nor the ones that read models' {
        $model = New-Linear -InFeatures 2 -OutFeatures 1 -Weight 1 -Bias 0 -ErrorAction Stop
        (New-Tensor 1,2 -Fill 1 | Invoke-QModel -Model $model -ErrorAction Stop).ToArray() | Should -Be 2
        Get-Context Google.Protobuf | Should -Contain 'Default 0.0.0.1'
        @(Get-Context Google.Protobuf) -like 'QuantPS 3.*' | Should -Not -BeNullOrEmpty
        @(Get-Context Microsoft.ML.OnnxRuntime) -like 'QuantPS *' | Should -Not -BeNullOrEmpty
    }

    It 'and none of ours is in the default context' {
        foreach ($name in 'QuantPS.Onnx', 'QuantPS.Data', 'Microsoft.ML.OnnxRuntime') {
            @(Get-Context $name) -like 'Default *' | Should -BeNullOrEmpty
        }
        (Get-Context QuantPS.Engine).Count | Should -Be 1
    }
}

Describe 'Removing the module' {
    It 'takes the commands away, and it can be imported again' {
        Remove-Module QuantPS
        Get-Command New-Tensor -Module QuantPS -ErrorAction SilentlyContinue | Should -BeNullOrEmpty
        Import-Module "$PSScriptRoot/../../QuantPS.psd1"
        (New-Tensor 2).Length | Should -Be 2
    }
}

Describe 'Completion' {
    BeforeAll { function Get-Completion ([string] $Line) { [System.Management.Automation.CommandCompletion]::CompleteInput($Line, $Line.Length, $null).CompletionMatches.CompletionText } }

    It 'offers the presets' { Get-Completion 'New-QConfig -Backend ' | Should -Be (Get-QConfig).Name }
    It 'narrows them by what was typed' { Get-Completion 'New-QConfig -Backend o' | Should -Be 'onednn', 'onnxruntime', 'onnxruntime_s8s8' }
    It 'offers dtypes' { Get-Completion 'New-QConfig -WeightDType q' | Should -Be 'QInt16', 'QInt32', 'QInt4', 'QInt8', 'QUInt16', 'QUInt4', 'QUInt8' }
    It 'offers observers' { Get-Completion 'New-QConfig -WeightObserver Per' | Should -Be 'PerChannelMinMax', 'Percentile' }
    It 'offers schemes' { Get-Completion 'New-QConfig -WeightScheme PerC' | Should -Contain 'PerChannelAffine' }
}
