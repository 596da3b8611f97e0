using System.Management.Automation;
using QuantPS.Engine.Errors;

namespace QuantPS.Errors;

/// <summary>Exceptions to PowerShell's error records.</summary>
public static class ErrorRecords
{
    /// <summary>An error record whose ErrorId is from the catalogue, whose category is true and whose target is the offending item.</summary>
    /// <param name="error">Any exception; one that is not a <see cref="QuantException"/> becomes ErrorId Unexpected and is kept as it is.</param>
    /// <param name="item">The pipeline item at hand; used where the exception names no target.</param>
    public static ErrorRecord From(Exception error, object? item = null) => error is QuantException known
        ? new ErrorRecord(known, known.ErrorId, Category(known.Kind), known.Target ?? item)
        : new ErrorRecord(error, ErrorIds.Unexpected, ErrorCategory.NotSpecified, item);

    /// <summary>The catalogue's kind as PowerShell's category.</summary>
    public static ErrorCategory Category(ErrorKind kind) => kind switch
    {
        ErrorKind.InvalidArgument => ErrorCategory.InvalidArgument,
        ErrorKind.InvalidData => ErrorCategory.InvalidData,
        ErrorKind.InvalidOperation => ErrorCategory.InvalidOperation,
        ErrorKind.NotImplemented => ErrorCategory.NotImplemented,
        ErrorKind.ObjectNotFound => ErrorCategory.ObjectNotFound,
        ErrorKind.ResourceExists => ErrorCategory.ResourceExists,
        ErrorKind.ReadError => ErrorCategory.ReadError,
        ErrorKind.WriteError => ErrorCategory.WriteError,
        _ => ErrorCategory.NotSpecified,
    };
}
