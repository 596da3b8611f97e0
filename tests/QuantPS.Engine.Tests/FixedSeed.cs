using CsCheck;

namespace QuantPS.Engine.Tests;

/// <summary>Property tests over generated cases that are the same in every run.</summary>
internal static class FixedSeed
{
    private const string Seed = "0N0XIzNsQ0O2";

    /// <summary>Checks a property on many cases. CsCheck's own Sample uses its seed for the first case only, and random ones after it.</summary>
    public static void Holds<T>(this Gen<T> cases, Func<T, bool> property, int count = 500)
    {
        T[] all = cases.Array[count].Single(_ => true, Seed);
        for (int i = 0; i < all.Length; i++)
            Assert.True(property(all[i]), $"Case {i} of {count}: {Check.Print(all[i])}");
    }

    public static void Holds<T1, T2>(this Gen<(T1, T2)> cases, Func<T1, T2, bool> property) => cases.Holds(t => property(t.Item1, t.Item2));

    public static void Holds<T1, T2, T3>(this Gen<(T1, T2, T3)> cases, Func<T1, T2, T3, bool> property) => cases.Holds(t => property(t.Item1, t.Item2, t.Item3));

    public static void Holds<T1, T2, T3, T4>(this Gen<(T1, T2, T3, T4)> cases, Func<T1, T2, T3, T4, bool> property) =>
        cases.Holds(t => property(t.Item1, t.Item2, t.Item3, t.Item4));

    public static void Holds<T1, T2, T3, T4, T5>(this Gen<(T1, T2, T3, T4, T5)> cases, Func<T1, T2, T3, T4, T5, bool> property) =>
        cases.Holds(t => property(t.Item1, t.Item2, t.Item3, t.Item4, t.Item5));
}
