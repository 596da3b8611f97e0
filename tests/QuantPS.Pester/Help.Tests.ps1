BeforeDiscovery { $names = (Test-ModuleManifest "$PSScriptRoot/../../QuantPS.psd1").ExportedCmdlets.Keys }
BeforeAll { Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force }

Describe 'Help' {
    It 'of <_> has a synopsis, an example, and a line for every parameter' -ForEach $names {
        $help = Get-Help $_ -Full
        $help.Synopsis | Should -Not -BeNullOrEmpty
        # Without a help file PowerShell shows the syntax in place of the synopsis.
        $help.Synopsis | Should -Not -Match "$_ .*\["
        @($help.examples.example).Count | Should -BeGreaterOrEqual 1
        foreach ($parameter in (Get-Command $_).Parameters.Keys) {
            if ($parameter -in [System.Management.Automation.Cmdlet]::CommonParameters) { continue }
            $line = @($help.parameters.parameter | Where-Object name -EQ $parameter)
            "$parameter $($line.description.Text)" | Should -Not -Be "$parameter "
        }
    }

    It 'has examples that parse' {
        $examples = & "$PSScriptRoot/../../module/help/Examples.ps1"
        foreach ($example in $examples.Values | ForEach-Object { $_ }) {
            $errors = $null
            $null = [System.Management.Automation.Language.Parser]::ParseInput($example.Code, [ref] $null, [ref] $errors)
            $errors.Count | Should -Be 0
        }
    }
}
