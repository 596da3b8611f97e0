namespace QuantPS.Engine.Errors;

/// <summary>An error that a user can act on: says what was wrong, where, and what to do.</summary>
public sealed class QuantException : Exception
{
    /// <param name="errorId">One of <see cref="ErrorIds"/>.</param>
    /// <param name="message">What was wrong, where (file, node, tensor, index), and what to do about it.</param>
    /// <param name="target">The offending item, if it is at hand: a tensor, a path, a layer.</param>
    /// <param name="inner">The cause.</param>
    public QuantException(string errorId, string message, object? target = null, Exception? inner = null)
        : base(message, inner)
    {
        ErrorId = errorId;
        Target = target;
    }

    /// <summary>Stable name of the error, one of <see cref="ErrorIds"/>.</summary>
    public string ErrorId { get; }

    /// <summary>The kind of failure, from the catalogue.</summary>
    public ErrorKind Kind => ErrorCatalog.KindOf(ErrorId);

    /// <summary>The offending item, or null.</summary>
    public object? Target { get; }
}
