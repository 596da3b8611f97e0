<#
.SYNOPSIS
    Writes en-US/QuantPS.dll-Help.xml, which Get-Help reads, from the doc comments of the cmdlets and Examples.ps1.
.DESCRIPTION
    Run it after a build whenever a cmdlet or a parameter has changed: module/bin/QuantPS.xml has the comments. The help file lies at the
    root because PowerShell looks for a binary module's help beside the manifest, nowhere else.

    Uses core commands and the language only, so that it runs in pwsh 7.6 and in QuantPS.Host alike.
#>
[CmdletBinding()]
param()

$ErrorActionPreference = 'Stop'
$root = [IO.Path]::GetFullPath("$PSScriptRoot/../..")
$module = Import-Module "$root/QuantPS.psd1" -PassThru
$examples = & "$PSScriptRoot/Examples.ps1"
$maml, $command, $dev = 'http://schemas.microsoft.com/maml/2004/10', 'http://schemas.microsoft.com/maml/dev/command/2004/10', 'http://schemas.microsoft.com/maml/dev/2004/10'

$comments = @{}
$xml = [xml]::new()
$xml.Load("$root/module/bin/QuantPS.xml")
foreach ($member in $xml.SelectNodes('/doc/members/member')) { $comments[$member.GetAttribute('name')] = $member }

# The text of a comment's element; a reference becomes its last name.
function Get-Text ($Member, [string] $Element) {
    $node = if ($Member) { $Member.SelectSingleNode($Element) }
    if (-not $node) { return '' }
    $text = foreach ($child in $node.ChildNodes) {
        if ($child.LocalName -in 'see', 'paramref') { ($child.GetAttribute('cref') + $child.GetAttribute('name') -split '[.:]')[-1] } else { $child.InnerText }
    }
    (-join $text -replace '\s+', ' ').Trim()
}

function Get-ParameterComment ($Type, [string] $Name) {
    for ($t = $Type; $t; $t = $t.BaseType) {
        $declaring = if ($t.IsGenericType) { $t.GetGenericTypeDefinition() } else { $t }
        $member = $comments["P:$($declaring.FullName).$Name"]
        if ($member) { return Get-Text $member 'summary' }
    }
    throw "$($Type.Name).$Name has no doc comment."
}

function Get-TypeName ([type] $Type) {
    $inner = [Nullable]::GetUnderlyingType($Type)
    if ($inner) { $Type = $inner }
    switch ("$Type") {
        'System.Management.Automation.SwitchParameter' { 'SwitchParameter' }
        default { $Type.Name -replace '^Single', 'Float' -replace '^Int32', 'Int' -replace '^Int64', 'Long' }
    }
}

function Write-Paragraphs ([string] $Prefix, [string] $Name, [string] $Namespace, [string[]] $Texts) {
    $writer.WriteStartElement($Prefix, $Name, $Namespace)
    foreach ($text in $Texts) { if ($text) { $writer.WriteElementString('maml', 'para', $maml, $text) } }
    $writer.WriteEndElement()
}

function Write-Parameter ($Info, $Set, [string] $Text) {
    $writer.WriteStartElement('command', 'parameter', $command)
    $pipeline = @(if ($Set.ValueFromPipeline) { 'ByValue' }; if ($Set.ValueFromPipelineByPropertyName) { 'ByPropertyName' })
    $writer.WriteAttributeString('required', "$($Set.IsMandatory)".ToLowerInvariant())
    $writer.WriteAttributeString('variableLength', "$($Info.ParameterType.IsArray)".ToLowerInvariant())
    $writer.WriteAttributeString('globbing', "$($Info.Name -eq 'Path')".ToLowerInvariant())
    $writer.WriteAttributeString('pipelineInput', $(if ($pipeline) { "True ($($pipeline -join ', '))" } else { 'False' }))
    $writer.WriteAttributeString('position', $(if ($Set.Position -ge 0) { "$($Set.Position)" } else { 'named' }))
    $writer.WriteAttributeString('aliases', $(if ($Info.Aliases.Count) { $Info.Aliases -join ', ' } else { 'none' }))
    $writer.WriteElementString('maml', 'name', $maml, $Info.Name)
    Write-Paragraphs maml Description $maml $Text
    if ($Info.ParameterType -ne [switch]) {
        $writer.WriteStartElement('command', 'parameterValue', $command)
        $writer.WriteAttributeString('required', 'true')
        $writer.WriteString((Get-TypeName $Info.ParameterType))
        $writer.WriteEndElement()
    }
    $writer.WriteStartElement('dev', 'type', $dev)
    $writer.WriteElementString('maml', 'name', $maml, (Get-TypeName $Info.ParameterType))
    $writer.WriteEndElement()
    $writer.WriteEndElement()
}

$settings = [Xml.XmlWriterSettings]::new()
$settings.Indent = $true
$settings.NewLineChars = "`n"
$settings.Encoding = [Text.UTF8Encoding]::new($false)
[void] [IO.Directory]::CreateDirectory("$root/en-US")
$output = "$root/en-US/QuantPS.dll-Help.xml"
$writer = [Xml.XmlWriter]::Create($output, $settings)
$writer.WriteStartElement('helpItems', 'http://msh')
$writer.WriteAttributeString('schema', 'maml')

$common = [Management.Automation.Cmdlet]::CommonParameters
$names = @([Linq.Enumerable]::Order([string[]] $module.ExportedCmdlets.Keys, [StringComparer]::Ordinal))
foreach ($name in $names) {
    $cmdlet = $module.ExportedCmdlets[$name]
    $type = $cmdlet.ImplementingType
    $comment = $comments["T:$($type.FullName)"]
    $synopsis = (Get-Text $comment 'summary') -replace "^$name`: ", ''
    if (-not $synopsis) { throw "$name has no doc comment." }
    if (-not $examples[$name]) { throw "$name has no example." }
    $synopsis = $synopsis.Substring(0, 1).ToUpperInvariant() + $synopsis.Substring(1)

    $writer.WriteStartElement('command', 'command', $command)
    $writer.WriteAttributeString('xmlns', 'maml', $null, $maml)
    $writer.WriteAttributeString('xmlns', 'dev', $null, $dev)
    $writer.WriteStartElement('command', 'details', $command)
    $writer.WriteElementString('command', 'name', $command, $name)
    Write-Paragraphs maml description $maml $synopsis
    $writer.WriteElementString('command', 'verb', $command, $cmdlet.Verb)
    $writer.WriteElementString('command', 'noun', $command, $cmdlet.Noun)
    $writer.WriteEndElement()
    Write-Paragraphs maml description $maml $synopsis, (Get-Text $comment 'remarks')

    $writer.WriteStartElement('command', 'syntax', $command)
    $seen = [ordered]@{}
    foreach ($set in $cmdlet.ParameterSets) {
        $writer.WriteStartElement('command', 'syntaxItem', $command)
        $writer.WriteElementString('maml', 'name', $maml, $name)
        $parameters = @($set.Parameters | Where-Object Name -notin $common)
        $positional = foreach ($position in 0..9) { $parameters | Where-Object Position -EQ $position }
        foreach ($parameter in @($positional) + @($parameters | Where-Object Position -lt 0)) {
            Write-Parameter $cmdlet.Parameters[$parameter.Name] $parameter ''
            if (-not $seen.Contains($parameter.Name)) { $seen[$parameter.Name] = $parameter }
        }
        $writer.WriteEndElement()
    }
    $writer.WriteEndElement()

    $writer.WriteStartElement('command', 'parameters', $command)
    foreach ($parameter in $seen.Keys) {
        $text = switch ($parameter) {
            'WhatIf' { 'Says what would be done, and does nothing.' }
            'Confirm' { 'Asks before it does anything.' }
            default { Get-ParameterComment $type $_ }
        }
        Write-Parameter $cmdlet.Parameters[$parameter] $seen[$parameter] $text
    }
    $writer.WriteEndElement()

    $writer.WriteStartElement('command', 'returnValues', $command)
    foreach ($result in $cmdlet.OutputType) {
        $writer.WriteStartElement('command', 'returnValue', $command)
        $writer.WriteStartElement('dev', 'type', $dev)
        $writer.WriteElementString('maml', 'name', $maml, $result.Name)
        $writer.WriteEndElement()
        $writer.WriteEndElement()
    }
    $writer.WriteEndElement()

    $writer.WriteStartElement('command', 'examples', $command)
    $number = 0
    foreach ($example in $examples[$name]) {
        $number++
        $writer.WriteStartElement('command', 'example', $command)
        $writer.WriteElementString('maml', 'title', $maml, "-------------------------- Example $number --------------------------")
        $writer.WriteElementString('dev', 'code', $dev, ($example.Code -replace "`r"))
        Write-Paragraphs dev remarks $dev $example.Text
        $writer.WriteEndElement()
    }
    $writer.WriteEndElement()
    $writer.WriteEndElement()
}
$writer.WriteEndElement()
$writer.Dispose()
[IO.File]::AppendAllText($output, "`n")
"$output has the help of $($names.Count) cmdlets."
