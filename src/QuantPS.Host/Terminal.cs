namespace QuantPS.Host;

/// <summary>Where the host reads and writes, and what can be shown there. Tests pass string readers and writers.</summary>
public sealed class Terminal
{
    /// <summary>Columns where there is no window to ask.</summary>
    public const int DefaultWidth = 120;

    /// <summary>Rows where there is no window to ask.</summary>
    public const int DefaultHeight = 50;

    /// <summary>What goes to standard output.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>What goes to standard error.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>What prompts read.</summary>
    public required TextReader In { get; init; }

    /// <summary>Where the progress bar is drawn; null shows none.</summary>
    public TextWriter? Progress { get; init; }

    /// <summary>Whether <see cref="Out"/> takes escape sequences.</summary>
    public bool Colors { get; init; }

    /// <summary>Whether <see cref="Error"/> takes escape sequences.</summary>
    public bool ErrorColors { get; init; }

    /// <summary>Whether somebody can be asked.</summary>
    public bool Interactive { get; init; } = true;

    /// <summary>Whether <see cref="In"/> is the console, whose line editing and echo are the system's.</summary>
    public bool IsConsole { get; init; }

    /// <summary>
    /// The process's console. Colours need a terminal that understands them and no <c>NO_COLOR</c> (no-color.org); progress
    /// goes to standard error where that is the terminal, so that it is seen while output goes to a file.
    /// </summary>
    public static Terminal FromConsole(bool interactive)
    {
        bool styled = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
            && Environment.GetEnvironmentVariable("TERM") != "dumb";
        return new Terminal
        {
            Out = Console.Out,
            Error = Console.Error,
            In = Console.In,
            Progress = !Console.IsErrorRedirected ? Console.Error : !Console.IsOutputRedirected ? Console.Out : null,
            Colors = styled && !Console.IsOutputRedirected,
            ErrorColors = styled && !Console.IsErrorRedirected && !Console.IsOutputRedirected,
            Interactive = interactive,
            IsConsole = true,
        };
    }

    /// <summary>Columns of the window: the terminal's, else <c>COLUMNS</c>, else 120.</summary>
    public int Width => Measure(() => Console.WindowWidth, "COLUMNS", DefaultWidth);

    /// <summary>Rows of the window: the terminal's, else <c>LINES</c>, else 50.</summary>
    public int Height => Measure(() => Console.WindowHeight, "LINES", DefaultHeight);

    private int Measure(Func<int> window, string variable, int otherwise)
    {
        if (IsConsole && !Console.IsOutputRedirected)
        {
            try
            {
                int measured = window();
                if (measured > 0)
                    return measured;
            }
            catch (IOException)
            {
                // A terminal that does not tell its size.
            }
        }

        return int.TryParse(Environment.GetEnvironmentVariable(variable), out int value) && value > 0 ? value : otherwise;
    }
}
