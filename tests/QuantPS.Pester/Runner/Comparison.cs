using System.Collections;
using System.Collections.Concurrent;
using System.Management.Automation;
using System.Management.Automation.Internal;

namespace QuantPS.Pester.Runner;

/// <summary>PowerShell's operators, and Pester's way of comparing collections with them (ArraysAreEqual in Pester's Be.ps1).</summary>
internal static class Comparison
{
    private const int RecursionLimit = 100;
    private static readonly ConcurrentDictionary<string, string> Texts = new();

    /// <summary>Whether <c>left -operator right</c> is true, by the engine itself.</summary>
    public static bool Test(string operation, object? left, object? right)
    {
        string text = Texts.GetOrAdd(operation, static o => $"try {{ [bool]($args[0] -{o} $args[1]) }} catch {{ throw }}");
        return LanguagePrimitives.IsTrue(ScriptBlock.Create(text).InvokeReturnAsIs(left, right));
    }

    /// <summary>What <c>@(value)</c> holds.</summary>
    public static List<object?> Items(object? value)
    {
        if (ReferenceEquals(value, AutomationNull.Value))
            return [];
        IEnumerable? items = value is null ? null : LanguagePrimitives.GetEnumerable(value);
        return items is null ? [value] : [.. items.Cast<object?>()];
    }

    /// <summary>Element by element; $null, an empty collection and a collection of one $null are the same.</summary>
    public static bool AreEqual(object? first, object? second, bool caseSensitive, int depth = 0)
    {
        if (depth >= RecursionLimit)
            throw new PSInvalidOperationException($"Reached the recursion depth limit of {RecursionLimit} when comparing arrays. Is one of them cyclic?");
        List<object?> left = Items(first);
        List<object?> right = Items(second);
        if (NullOrEmpty(left) || NullOrEmpty(right))
            return NullOrEmpty(left) && NullOrEmpty(right);
        if (left.Count != right.Count)
            return false;
        for (int i = 0; i < left.Count; i++)
        {
            object? a = left[i], b = right[i];
            bool same = IsArray(a) || IsArray(b)
                ? AreEqual(a, b, caseSensitive, depth + 1)
                : SameNumber(a, b) ?? Test(caseSensitive ? "ceq" : "eq", b, a);
            if (!same)
                return false;
        }

        return true;
    }

    /// <summary>PowerShell's truth of a value.</summary>
    public static bool IsTrue(object? value) => LanguagePrimitives.IsTrue(value);

    public static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    private static bool NullOrEmpty(List<object?> items) => items.Count == 0 || (items.Count == 1 && items[0] is null);

    private static bool IsArray(object? value) => Unwrap(value) is Array;

    // Tensors are compared by the hundred thousand elements; two numbers of one type need no script.
    private static bool? SameNumber(object? a, object? b) => (Unwrap(a), Unwrap(b)) switch
    {
        (int x, int y) => x == y,
        (float x, float y) => x == y,
        (double x, double y) => x == y,
        (byte x, byte y) => x == y,
        (sbyte x, sbyte y) => x == y,
        (long x, long y) => x == y,
        _ => null,
    };
}
