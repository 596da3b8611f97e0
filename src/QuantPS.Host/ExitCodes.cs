namespace QuantPS.Host;

/// <summary>Exit codes of the process where the script does not choose one; the same as pwsh's.</summary>
public static class ExitCodes
{
    /// <summary>The script ran to its end.</summary>
    public const int Success = 0;

    /// <summary>An error that nothing caught, or text that does not parse.</summary>
    public const int Failure = 1;

    /// <summary>An option that does not exist, or a script file that cannot be found.</summary>
    public const int BadCommandLine = 64;

    /// <summary>Stopped by Ctrl+C: 128 + SIGINT, as shells expect.</summary>
    public const int Interrupted = 130;
}
