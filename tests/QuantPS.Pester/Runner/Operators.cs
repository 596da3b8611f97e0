using System.Collections;
using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>An operator of Should.</summary>
/// <param name="TakesCollection">Looks at all of the pipeline at once, not at one item after another.</param>
/// <param name="Check">Gives the message of the failure, or null.</param>
internal sealed record Operator(bool TakesCollection, Func<ShouldCommand, object?, string?> Check);

/// <summary>The operators: what they compare and what they say are Pester's (its src/functions/assertions).</summary>
internal static class Operators
{
    public static readonly IReadOnlyDictionary<string, Operator> All = new Dictionary<string, Operator>
    {
        [nameof(ShouldCommand.Be)] = new(true, (s, a) => Equal(s, a, caseSensitive: false)),
        [nameof(ShouldCommand.BeExactly)] = new(true, (s, a) => Equal(s, a, caseSensitive: true)),
        [nameof(ShouldCommand.BeNullOrEmpty)] = new(true, NullOrEmpty),
        [nameof(ShouldCommand.BeTrue)] = new(false, (s, a) => Truth(s, a, expected: true)),
        [nameof(ShouldCommand.BeFalse)] = new(false, (s, a) => Truth(s, a, expected: false)),
        [nameof(ShouldCommand.BeGreaterThan)] = new(false, (s, a) => Order(s, a, "gt", "le", "greater than", "less than or equal to")),
        [nameof(ShouldCommand.BeGreaterOrEqual)] = new(false, (s, a) => Order(s, a, "ge", "lt", "greater than or equal to", "less than")),
        [nameof(ShouldCommand.BeLessThan)] = new(false, (s, a) => Order(s, a, "lt", "ge", "less than", "greater than or equal to")),
        [nameof(ShouldCommand.BeLessOrEqual)] = new(false, (s, a) => Order(s, a, "le", "gt", "less than or equal to", "greater than")),
        [nameof(ShouldCommand.BeLike)] = new(false, (s, a) => Pattern(s, a, "like", s.ExpectedValue, "like wildcard")),
        [nameof(ShouldCommand.BeLikeExactly)] = new(false, (s, a) => Pattern(s, a, "clike", s.ExpectedValue, "case sensitive like wildcard")),
        [nameof(ShouldCommand.Match)] = new(false, (s, a) => Pattern(s, a, "match", s.RegularExpression, "regular expression")),
        [nameof(ShouldCommand.MatchExactly)] = new(false, (s, a) => Pattern(s, a, "cmatch", s.RegularExpression, "regular expression case sensitively")),
        [nameof(ShouldCommand.Contain)] = new(true, Contain),
        [nameof(ShouldCommand.BeIn)] = new(false, BeIn),
        [nameof(ShouldCommand.BeOfType)] = new(false, OfType),
        [nameof(ShouldCommand.HaveCount)] = new(true, Count),
        [nameof(ShouldCommand.Exist)] = new(false, Exist),
        [nameof(ShouldCommand.Throw)] = new(false, ThrowOperator.Check),
    };

    private static string? Verdict(ShouldCommand should, bool succeeded, Func<string, string> message) =>
        succeeded ? null : message(Nicely.Because(should.Because));

    private static string? Equal(ShouldCommand should, object? actual, bool caseSensitive)
    {
        object? expected = should.ExpectedValue;
        bool equal = Comparison.AreEqual(actual, expected, caseSensitive);
        if (should.Not)
            return Verdict(should, !equal, b => $"Expected {Nicely.Format(expected)} to be different from the actual value,{b} but got the same value.");
        List<object?> left = Comparison.Items(actual), right = Comparison.Items(expected);
        object? shown = left.Count == 1 ? left[0] : actual;
        return Verdict(should, equal, b =>
            Comparison.Unwrap(shown) is string a && Comparison.Unwrap(expected) is string e ? Nicely.Difference(e, a, caseSensitive, b)
            : left.Count != right.Count && left.Count > 1 && right.Count > 1
                ? $"Expected a collection {Nicely.Format(expected)} with length {right.Count},{b} but got a collection {Nicely.Format(actual)} with length {left.Count}."
            : $"Expected {(caseSensitive ? "exactly " : "")}{Nicely.Format(expected)},{b} but got {Nicely.Format(shown)}.{FirstDifference(left, right, caseSensitive)}");
    }

    // The first ten elements, which the message shows, can well be the same.
    private static string FirstDifference(List<object?> left, List<object?> right, bool caseSensitive)
    {
        if (left.Count != right.Count || left.Count < 2)
            return "";
        int at = Enumerable.Range(0, left.Count).First(i => !Comparison.AreEqual(left[i], right[i], caseSensitive));
        return $" The first difference is at index {at}: {Nicely.Format(right[at])} was expected, {Nicely.Format(left[at])} is there.";
    }

    private static string? NullOrEmpty(ShouldCommand should, object? actual)
    {
        List<object?> items = actual is null ? [] : Comparison.Items(actual);
        object? single = items.Count == 1 ? Comparison.Unwrap(items[0]) : null;
        bool empty = items.Count == 0
            || (items.Count == 1 && (single is Hashtable table ? table.Count == 0 : string.IsNullOrEmpty(LanguagePrimitives.ConvertTo<string>(single))));
        return should.Not
            ? Verdict(should, !empty, b => $"Expected a value,{b} but got $null or empty.")
            : Verdict(should, empty, b => $"Expected $null or empty,{b} but got {Nicely.Format(items.Count == 1 ? items[0] : actual)}.");
    }

    private static string? Truth(ShouldCommand should, object? actual, bool expected)
    {
        bool wanted = expected != should.Not;
        return Verdict(should, Comparison.IsTrue(actual) == wanted, b => $"Expected {Nicely.Format(wanted)},{b} but got {Nicely.Format(actual)}.");
    }

    // Pester asks whether the opposite is false; asking for the thing itself differs for NaN alone, which is neither.
    private static string? Order(ShouldCommand should, object? actual, string operation, string opposite, string words, string oppositeWords)
    {
        bool holds = Comparison.Test(should.Not ? opposite : operation, actual, should.ExpectedValue);
        return Verdict(should, holds, b => $"Expected the actual value to be {(should.Not ? oppositeWords : words)} "
            + $"{Nicely.Format(should.ExpectedValue)},{b} but got {Nicely.Format(actual)}.");
    }

    private static string? Pattern(ShouldCommand should, object? actual, string operation, object? pattern, string words)
    {
        bool matches = Comparison.Test(operation, actual, pattern);
        return Verdict(should, matches != should.Not, b => should.Not
            ? $"Expected {words} {Nicely.Format(pattern)} to not match {Nicely.Format(actual)},{b} but it did match."
            : $"Expected {words} {Nicely.Format(pattern)} to match {Nicely.Format(actual)},{b} but it did not match.");
    }

    private static string? Contain(ShouldCommand should, object? actual)
    {
        bool found = Comparison.Test("contains", actual, should.ExpectedValue);
        return Verdict(should, found != should.Not, b => should.Not
            ? $"Expected {Nicely.Format(should.ExpectedValue)} to not be found in collection {Nicely.Format(actual)},{b} but it was found."
            : $"Expected {Nicely.Format(should.ExpectedValue)} to be found in collection {Nicely.Format(actual)},{b} but it was not found.");
    }

    private static string? BeIn(ShouldCommand should, object? actual)
    {
        bool found = Comparison.Test("contains", should.ExpectedValue, actual);
        return Verdict(should, found != should.Not, b => should.Not
            ? $"Expected collection {Nicely.Format(should.ExpectedValue)} to not contain {Nicely.Format(actual)},{b} but it was found."
            : $"Expected collection {Nicely.Format(should.ExpectedValue)} to contain {Nicely.Format(actual)},{b} but it was not found.");
    }

    private static string? OfType(ShouldCommand should, object? actual)
    {
        object? expected = Comparison.Unwrap(should.ExpectedType);
        if (expected is null)
            throw new PSArgumentException("Should -BeOfType needs a type.");
        bool succeeded;
        if (expected is string text)
        {
            string name = text.StartsWith('[') && text.EndsWith(']') ? text[1..^1] : text;
            expected = LanguagePrimitives.TryConvertTo(name, out Type type) ? type : name;
        }

        if (expected is Type wanted)
        {
            succeeded = Comparison.Test("is", actual, wanted);
        }
        else
        {
            // A name that is no type is looked for among the names of the object.
            succeeded = actual is not null && (PSObject.AsPSObject(actual).TypeNames.Contains((string)expected, StringComparer.OrdinalIgnoreCase)
                || Ancestors(Comparison.Unwrap(actual)!.GetType()).Any(t => t.Name.Equals((string)expected, StringComparison.OrdinalIgnoreCase)));
        }

        object? actualType = actual is null ? null : Comparison.Unwrap(actual)!.GetType();
        return Verdict(should, succeeded != should.Not, b => $"Expected the value to {(should.Not ? "not " : "")}have type "
            + $"{(expected is Type ? Nicely.Format(expected) : $"[{expected}]")} or any of its subtypes,{b} but got {Nicely.Format(actual)} with type {Nicely.Format(actualType)}.");
    }

    private static IEnumerable<Type> Ancestors(Type type)
    {
        for (Type? t = type; t is not null; t = t.BaseType)
            yield return t;
    }

    private static string? Count(ShouldCommand should, object? actual)
    {
        int expected = LanguagePrimitives.ConvertTo<int>(should.ExpectedValue);
        if (expected < 0 || should.ExpectedValue is null)
            throw new PSArgumentException("Expected collection size must be greater than or equal to 0.");
        int count = actual is null ? 0 : ((object?[])actual).Length;
        return Verdict(should, (count == expected) != should.Not, b =>
        {
            string wanted = (should.Not ? "not" : "", expected) switch
            {
                ("not", 0) => "a non-empty collection",
                ("not", _) => $"a collection with size different from {expected}",
                ("", 0) => "an empty collection",
                _ => $"a collection with size {expected}",
            };
            return $"Expected {wanted},{b} but got {(count == 0 ? "an empty collection" : $"collection with size {count} {Nicely.Format(actual)}")}.";
        });
    }

    private static string? Exist(ShouldCommand should, object? actual)
    {
        if (actual is null)
            throw new PSArgumentException("Should -Exist needs a path, but got $null.");
        string path = LanguagePrimitives.ConvertTo<string>(actual);
        bool exists = should.InvokeProvider.Item.Exists(path, force: false, literalPath: should.LiteralPath);
        return Verdict(should, exists != should.Not, b => should.Not
            ? $"Expected path {Nicely.Format(path)} to not exist,{b} but it did exist."
            : $"Expected path {Nicely.Format(path)} to exist,{b} but it did not exist.");
    }
}
