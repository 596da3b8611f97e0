BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    # A clock that moves when told to, and a list in place of the screen.
    class Clock : System.TimeProvider {
        [long] $Now
        [long] GetTimestamp() { return $this.Now }
        [long] get_TimestampFrequency() { return 1000 }
    }
    $records = [System.Collections.Generic.List[System.Management.Automation.ProgressRecord]]::new()
    $clock = [Clock]::new()
    function New-Reporter ($Total) {
        $records.Clear()
        $clock.Now = 0
        [QuantPS.Abstractions.ProgressReporter]::new([System.Action[System.Management.Automation.ProgressRecord]] { param($r) $records.Add($r) }, 'Working', 'images', $Total, $clock)
    }
}

Describe 'Progress' {
    It 'is silent about work that takes less than half a second' {
        $p = New-Reporter 100
        foreach ($i in 1..100) { $clock.Now += 4; $p.Advance(1) }
        $p.Dispose()
        $records.Count | Should -Be 0
    }

    It 'shows count, rate, percent and the time left, and ends with a completed record' {
        $p = New-Reporter 400
        $clock.Now = 1000
        $p.Advance(100)
        $records[0].StatusDescription | Should -Be '100/400 images  100/s'
        $records[0].PercentComplete | Should -Be 25
        $records[0].SecondsRemaining | Should -Be 3
        $p.Dispose()
        "$($records[-1].RecordType)" | Should -Be 'Completed'
        $records.Count | Should -Be 2
    }

    It 'is updated at most ten times a second' {
        $p = New-Reporter $null
        foreach ($i in 1..2000) { $clock.Now += 1; $p.Advance(1) }
        $records.Count | Should -BeGreaterThan 10
        $records.Count | Should -BeLessOrEqual 16
        $records[0].PercentComplete | Should -Be -1
    }
}
