using System.Management.Automation.Host;

namespace QuantPS.Host;

/// <summary>The raw console, as far as formatting and scripts need it; nothing here fails when there is no window.</summary>
public sealed class ConsoleHostRawUI(Terminal terminal) : PSHostRawUserInterface
{
    private static readonly bool HasWindow = !Console.IsOutputRedirected;
    private string title = "";

    /// <inheritdoc/>
    public override ConsoleColor ForegroundColor { get; set; } = (ConsoleColor)(-1);

    /// <inheritdoc/>
    public override ConsoleColor BackgroundColor { get; set; } = (ConsoleColor)(-1);

    /// <inheritdoc/>
    public override Coordinates CursorPosition
    {
        get => terminal.IsConsole && HasWindow && !Console.IsInputRedirected ? new(Console.CursorLeft, Console.CursorTop) : default;
        set
        {
            if (terminal.IsConsole && HasWindow)
                Console.SetCursorPosition(value.X, value.Y);
        }
    }

    /// <inheritdoc/>
    public override Coordinates WindowPosition { get; set; }

    /// <inheritdoc/>
    public override int CursorSize { get; set; } = 25;

    /// <inheritdoc/>
    public override Size BufferSize
    {
        get => WindowSize;
        set => _ = value;
    }

    /// <inheritdoc/>
    public override Size WindowSize
    {
        get => new(terminal.Width, terminal.Height);
        set => _ = value;
    }

    /// <inheritdoc/>
    public override Size MaxWindowSize => WindowSize;

    /// <inheritdoc/>
    public override Size MaxPhysicalWindowSize => WindowSize;

    /// <inheritdoc/>
    public override bool KeyAvailable => terminal.IsConsole && !Console.IsInputRedirected && Console.KeyAvailable;

    /// <inheritdoc/>
    public override string WindowTitle
    {
        get => title;
        set
        {
            title = value;
            if (terminal.IsConsole && terminal.Colors)
                Console.Title = value;
        }
    }

    /// <inheritdoc/>
    public override KeyInfo ReadKey(ReadKeyOptions options)
    {
        if (!terminal.IsConsole || Console.IsInputRedirected)
            throw new HostException("There is no keyboard to read a key from: standard input is redirected.");
        ConsoleKeyInfo key = Console.ReadKey((options & ReadKeyOptions.NoEcho) != 0);
        return new KeyInfo((int)key.Key, key.KeyChar, default, (options & ReadKeyOptions.IncludeKeyDown) != 0);
    }

    /// <inheritdoc/>
    public override void FlushInputBuffer()
    {
        while (KeyAvailable)
            Console.ReadKey(intercept: true);
    }

    /// <inheritdoc/>
    public override BufferCell[,] GetBufferContents(Rectangle rectangle) =>
        throw new HostException("A terminal cannot be asked for what it shows.");

    /// <inheritdoc/>
    public override void SetBufferContents(Rectangle rectangle, BufferCell fill)
    {
        // Clear-Host asks for this with the whole screen.
        if (terminal.IsConsole && HasWindow)
            Console.Clear();
    }

    /// <inheritdoc/>
    public override void SetBufferContents(Coordinates origin, BufferCell[,] contents) =>
        throw new HostException("This host writes lines, not cells.");

    /// <inheritdoc/>
    public override void ScrollBufferContents(Rectangle source, Coordinates destination, Rectangle clip, BufferCell fill) =>
        throw new HostException("This host does not scroll on demand.");
}
