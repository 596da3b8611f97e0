BeforeAll {
    Import-Module "$PSScriptRoot/../../QuantPS.psd1" -Force
    # [count, 2, 2] grey images: image i holds 4 i, 4 i + 1, ...
    function Get-Idx ([int] $Count) {
        [byte[]] (@(0, 0, 8, 3, 0, 0, 0, $Count, 0, 0, 0, 2, 0, 0, 0, 2) + (0..($Count * 4 - 1)))
    }
    $grey = [System.Convert]::FromBase64String('iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNgMGZI+w8AAp0BmS9udAMAAAAASUVORK5CYII=')   # 2 x 2: 0 51 102 255
    $color = [System.Convert]::FromBase64String('iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR42mP4zwAE/wEHAAH/PX2MSQAAAABJRU5ErkJggg==')  # 2 x 1: red, blue
    $wide = [System.Convert]::FromBase64String('iVBORw0KGgoAAAANSUhEUgAAAAMAAAABCAAAAAA+i0toAAAADElEQVR42mNgZGIGAAAOAAfpkjfUAAAAAElFTkSuQmCC')       # 3 x 1: 1 2 3
}

Describe 'idx images' {
    BeforeAll { [System.IO.File]::WriteAllBytes("$TestDrive/i-ubyte", (Get-Idx 10)) }

    It 'are one tensor each, which says where it is from' {
        $all = @(Import-Tensor "$TestDrive/i-ubyte")
        $all.Count | Should -Be 10
        $all[3].Shape | Should -Be 1, 1, 2, 2
        $all[3].ToArray() | Should -Be 12, 13, 14, 15
        $all[3].Source | Should -BeLike '*i-ubyte#3'
    }

    It 'come in batches' {
        $batches = @(Import-Tensor "$TestDrive/i-ubyte" -BatchSize 4)
        $batches | ForEach-Object { $_.Shape[0] } | Should -Be 4, 4, 2
        $batches[1].Source | Should -BeLike '*i-ubyte#4..7'
    }

    It 'are skipped and counted' {
        (Import-Tensor "$TestDrive/i-ubyte" -Skip 2 -First 3 | ForEach-Object { $_[0,0,0,0] }) | Should -Be 8, 12, 16
        (Import-Tensor "$TestDrive/i-ubyte" -Skip 2 -First 3 -BatchSize 2 | ForEach-Object { $_.Shape[0] }) | Should -Be 2, 1
    }

    It 'are normalized in this order: scale, mean, std' {
        $t = Import-Tensor "$TestDrive/i-ubyte" -First 1 -Scale 255 -Mean 0.286 -Std 0.353
        $expected = [float] (([float] 3 / [float] 255 - [float] 0.286) / [float] 0.353)
        [Math]::Abs($t[0,0,1,1] - $expected) | Should -BeLessThan 1e-6
    }

    It 'stop when the pipeline has enough' {
        $seen = 0
        foreach ($once in 1) { Import-Tensor "$TestDrive/i-ubyte" | ForEach-Object { $seen++; if ($seen -eq 3) { break } } }
        $seen | Should -Be 3
    }
}

Describe 'pictures' {
    BeforeAll {
        [System.IO.File]::WriteAllBytes("$TestDrive/a.png", $grey)
        [System.IO.File]::WriteAllBytes("$TestDrive/b.png", $grey)
        [System.IO.File]::WriteAllBytes("$TestDrive/c.color", $color)
        [System.IO.File]::WriteAllBytes("$TestDrive/wide.image", $wide)
    }

    It 'are N, C, H, W' {
        (Import-Tensor "$TestDrive/a.png").Shape | Should -Be 1, 1, 2, 2
        $c = Import-Tensor "$TestDrive/c.color"
        $c.Shape | Should -Be 1, 3, 1, 2
        $c.ToArray() | Should -Be 255, 0, 0, 0, 0, 255
    }

    It 'are N, H, W, C when asked for' {
        $c = Import-Tensor "$TestDrive/c.color" -Layout NHWC
        $c.Shape | Should -Be 1, 1, 2, 3
        $c.ToArray() | Should -Be 255, 0, 0, 0, 0, 255
    }

    It 'become grey as Pillow makes them' { (Import-Tensor "$TestDrive/c.color" -Grayscale).ToArray() | Should -Be 76, 29 }

    It 'take one mean and std per channel' {
        (Import-Tensor "$TestDrive/c.color" -Scale 255 -Mean 1,0,0.5 -Std 1,1,0.5).ToArray() | Should -Be 0, -1, 0, 0, -1, 1
    }

    It 'are resized' {
        (Import-Tensor "$TestDrive/a.png" -Resize 4,6).Shape | Should -Be 1, 1, 4, 6
        (Import-Tensor "$TestDrive/a.png" -Resize 1).ToArray() | Should -Be 102
    }

    It 'come from wildcards in order, and from the pipeline by FullName' {
        Import-Tensor "$TestDrive/*.png" | ForEach-Object { [System.IO.Path]::GetFileName($_.Source) } | Should -Be 'a.png', 'b.png'
        $files = [System.IO.DirectoryInfo]::new($TestDrive).GetFiles('*.png')
        @($files | Import-Tensor).Count | Should -Be 2
        @("$TestDrive/a.png", "$TestDrive/b.png" | Import-Tensor).Count | Should -Be 2
    }

    It 'are found relative to $PWD' {
        $location = $ExecutionContext.SessionState.Path
        $old = "$PWD"
        try { $null = $location.SetLocation($TestDrive); (Import-Tensor ./a.png).Length | Should -Be 4 } finally { $null = $location.SetLocation($old) }
    }

    It 'of another size are an error in a batch, and the others go on' {
        $errors = @()
        $batch = @("$TestDrive/a.png", "$TestDrive/wide.image", "$TestDrive/b.png" | Import-Tensor -BatchSize 2 -ErrorAction SilentlyContinue -ErrorVariable errors)
        $batch.Count | Should -Be 1
        $batch[0].Shape | Should -Be 2, 1, 2, 2
        @($errors).Count | Should -Be 1
        $errors[0].FullyQualifiedErrorId | Should -BeLike 'ShapeMismatch*'
        $errors[0].TargetObject | Should -BeLike '*wide.image'
        $errors[0].Exception.Message | Should -Match '1, 1, 3'
        $errors[0].Exception.Message | Should -Match '1, 2, 2'
        (Import-Tensor "$TestDrive/a.png", "$TestDrive/wide.image" -BatchSize 2 -Resize 2,2).Shape | Should -Be 2, 1, 2, 2
    }
}

Describe 'Real data' {
    BeforeDiscovery { $models = "$PSScriptRoot/../../module/examples/data"; $there = [System.IO.File]::Exists("$models/calib512-images-idx3-ubyte.gz") }
    It 'is read from gzipped idx files' -Skip:(-not $there) {
        $models = "$PSScriptRoot/../../module/examples/data"
        (Import-Tensor "$models/calib512-images-idx3-ubyte.gz" -BatchSize 512 -Scale 255).Shape | Should -Be 512, 1, 28, 28
        $labels = Import-Tensor "$models/calib512-labels-idx1-ubyte.gz"
        $labels.Shape | Should -Be 512
        $labels.Max() | Should -Be 9
    }
}
