using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>
/// A folder that lives as long as the run of a file: <c>$TestDrive</c> and the drive <c>TestDrive:</c>. What a block adds is
/// gone when the block ends.
/// </summary>
internal sealed class TestDrive : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("pester-");

    public TestDrive(PSCmdlet cmdlet)
    {
        ProviderInfo provider = cmdlet.SessionState.Provider.GetOne("FileSystem");
        cmdlet.SessionState.Drive.New(new PSDriveInfo("TestDrive", provider, folder.FullName, "The folder of this test file", null), "global");
        cmdlet.SessionState.PSVariable.Set(new PSVariable("global:TestDrive", folder.FullName));
    }

    /// <summary>What is there now.</summary>
    public HashSet<string> Snapshot() => [.. Directory.EnumerateFileSystemEntries(folder.FullName, "*", SearchOption.AllDirectories)];

    /// <summary>Deletes what was not there then.</summary>
    public void Restore(HashSet<string> snapshot)
    {
        foreach (string entry in Snapshot().Where(e => !snapshot.Contains(e)))
        {
            if (Directory.Exists(entry))
                Directory.Delete(entry, recursive: true);
            else if (File.Exists(entry))
                File.Delete(entry);
        }
    }

    public void Dispose()
    {
        try
        {
            folder.Delete(recursive: true);
        }
        catch (IOException)
        {
            // A file that is still open or mapped: the system's temporary folder is cleaned by others.
        }
    }
}
