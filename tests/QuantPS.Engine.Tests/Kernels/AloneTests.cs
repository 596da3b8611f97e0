using System.Collections.Concurrent;
using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Inside the scope a thread does its kernels' work itself; behind it others help again, and scopes nest.</summary>
[Collection(nameof(KernelThreads))]
public class AloneTests
{
    [Fact]
    public void NobodyHelps()
    {
        int before = KernelThreads.Count;
        try
        {
            KernelThreads.Count = 4;
            using (KernelThreads.Alone())
            {
                using (KernelThreads.Alone())
                    Assert.Equal([Environment.CurrentManagedThreadId], Helpers());
                Assert.Equal([Environment.CurrentManagedThreadId], Helpers());
            }
            // Others may be late once, not each time.
            Assert.Contains(Enumerable.Range(0, 200), _ => Helpers().Length > 1);
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    private static int[] Helpers()
    {
        ConcurrentDictionary<int, bool> threads = new();
        KernelThreads.Split(64, (from, to) =>
        {
            threads[Environment.CurrentManagedThreadId] = true;
            Thread.Sleep(1);
        });
        return [.. threads.Keys];
    }
}
