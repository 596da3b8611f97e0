using System.Runtime.InteropServices;

namespace QuantPS.Onnx.Tests;

/// <summary>What native code prints to standard error, which .NET does not see.</summary>
internal static partial class StandardError
{
    private const int Descriptor = 2, WriteCreateTruncate = 0x241, ReadWriteForAll = 0x1B6;
    private static readonly Lock Guard = new();

    /// <summary>Runs an action and gives what was printed meanwhile; skips the test where that cannot be told.</summary>
    public static string Of(Action action)
    {
        if (!OperatingSystem.IsLinux())
            Assert.Skip("Standard error is redirected as on Linux");
        using TempFile file = new();
        lock (Guard)
        {
            int kept = dup(Descriptor), to = open(file.Path, WriteCreateTruncate, ReadWriteForAll);
            Assert.True(kept >= 0 && to >= 0);
            _ = dup2(to, Descriptor);
            try
            {
                action();
            }
            finally
            {
                _ = dup2(kept, Descriptor);
                _ = close(to);
                _ = close(kept);
            }
        }
        return File.ReadAllText(file.Path);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);
}
