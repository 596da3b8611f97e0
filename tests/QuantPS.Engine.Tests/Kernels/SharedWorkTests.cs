using System.Runtime.CompilerServices;
using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>How many threads work is worth.</summary>
[Collection(nameof(KernelThreads))]
public class SharedWorkTests
{
    /// <summary>Layers of the other tests are mostly too small for a second thread: here they are shared all the same.</summary>
    [ModuleInitializer]
    internal static void ShareLittle() => KernelThreads.SharesLittle = true;

    [Theory]
    [InlineData(0, 1)]
    [InlineData(99, 1)]
    [InlineData(199, 1)]
    [InlineData(200, 2)]
    [InlineData(299, 2)]
    [InlineData(300, 3)]
    [InlineData(long.MaxValue, 3)]
    public void Each_thread_has_enough_to_do(long work, int threads)
    {
        int before = KernelThreads.Count;
        try
        {
            (KernelThreads.Count, KernelThreads.SharesLittle) = (3, false);
            Assert.Equal(threads, KernelThreads.Worth(work, 100));
            KernelThreads.SharesLittle = true;
            Assert.Equal(3, KernelThreads.Worth(work, 100));
        }
        finally
        {
            (KernelThreads.Count, KernelThreads.SharesLittle) = (before, true);
        }
    }
}
