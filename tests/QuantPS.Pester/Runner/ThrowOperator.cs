using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>Should -Throw.</summary>
internal static class ThrowOperator
{
    // In a scope of its own, inside of a try: without one the engine would show a terminating error and go on.
    private static readonly ScriptBlock Call = ScriptBlock.Create("try { $null = & $args[0] } catch { throw }");

    public static string? Check(ShouldCommand should, object? actual)
    {
        if (Comparison.Unwrap(actual) is not ScriptBlock block)
            throw new PSArgumentException("Input is missing or not a ScriptBlock. Input to '-Throw' and '-Not -Throw' must be enclosed in curly braces.");
        ErrorRecord? error = null;
        try
        {
            should.InvokeCommand.InvokeScript(useLocalScope: true, Call, null, block);
        }
        catch (RuntimeException e) when (e is not PipelineStoppedException)
        {
            error = PesterSession.ErrorOf(e);
        }

        string because = Nicely.Because(should.Because);
        Exception? exception = error?.Exception;
        if (should.Not)
            return exception is null ? null : $"Expected no exception to be thrown,{because} but an exception \"{exception.Message}\" was thrown {Position(error!)}.";

        List<string> filters = [], buts = [];
        if (should.ExceptionType is not null)
        {
            filters.Add($"type {Nicely.Format(should.ExceptionType)}");
            if (exception is not null && !should.ExceptionType.IsInstanceOfType(exception))
                buts.Add($"the exception type was {Nicely.Format(exception.GetType())}");
        }

        if (!string.IsNullOrWhiteSpace(should.ExpectedMessage))
        {
            filters.Add($"message like {Nicely.Format(WildcardPattern.Unescape(should.ExpectedMessage))}");
            if (exception is not null && !Comparison.Test("like", exception.Message, should.ExpectedMessage))
                buts.Add($"the message was {Nicely.Format(exception.Message)}");
        }

        if (!string.IsNullOrWhiteSpace(should.ErrorId))
        {
            filters.Add($"FullyQualifiedErrorId {Nicely.Format(should.ErrorId)}");
            if (error is not null && !Comparison.Test("like", error.FullyQualifiedErrorId, should.ErrorId))
                buts.Add($"the FullyQualifiedErrorId was {Nicely.Format(error.FullyQualifiedErrorId)}");
        }

        if (error is null)
            buts.Add("no exception was thrown");
        if (buts.Count > 0)
        {
            string filter = filters.Count > 0 ? " with " + string.Join(" and ", filters) : "";
            return $"Expected an exception{filter} to be thrown,{because} but {string.Join(" and ", buts)}. {(error is null ? "" : Position(error))}".Trim();
        }

        if (should.PassThru)
            should.WriteObject(error);
        return null;
    }

    private static string Position(ErrorRecord error) =>
        (error.InvocationInfo?.PositionMessage ?? "").Replace("At ", "from ", StringComparison.Ordinal);
}
