using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

public class ThreadPlacementTests
{
    [Fact]
    public void A_thread_leaves_a_core_and_stays_free_to_come_back()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.ProcessorCount > 1, "Needs Linux and a second core.");
        // Coming back is leaving the other core: it works only if the first move did not pin the thread.
        bool moved = true;
        var thread = new Thread(() =>
        {
            for (int i = 0; i < 20; i++)
            {
                int core = ThreadPlacement.Core;
                ThreadPlacement.Leave(core);
                moved &= ThreadPlacement.Core != core;
            }
        });
        thread.Start();
        thread.Join();
        Assert.True(moved);
    }
}
