using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using QuantPS.Engine.Observers;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>The threads of the session inside whose run a value is looked at: awake, and with nothing else to do meanwhile.</summary>
/// <remarks>For one run at a time. Source: onnxruntime_c_api.h, KernelContext_ParallelFor.</remarks>
internal sealed unsafe class RunThreads : IWorkSharing, IDisposable
{
    private readonly GCHandle self;
    private Action<int>? work;
    private Exception? error;
    private int failed;

    public RunThreads(int threads)
    {
        Threads = threads;
        self = GCHandle.Alloc(this);
    }

    public int Threads { get; }

    /// <summary>The kernel that is being run.</summary>
    public nint Context { get; set; }

    /// <remarks>All parts run, whatever another one throws; then the exception of the lowest part is thrown, whichever came first.</remarks>
    public void Run(int count, Action<int> part)
    {
        (work, error) = (part, null);
        OrtFunctions.Check(((delegate* unmanaged<nint, delegate* unmanaged<nint, nuint, void>, nuint, nuint, nint, nint>)
            OrtFunctions.Api->KernelContext_ParallelFor)(Context, &Part, (nuint)count, 0, GCHandle.ToIntPtr(self)));
        work = null;
        if (error is not null)
            ExceptionDispatchInfo.Throw(error);
    }

    public void Dispose()
    {
        if (self.IsAllocated)
            self.Free();
    }

    [UnmanagedCallersOnly]
    private static void Part(nint handle, nuint index)
    {
        RunThreads threads = (RunThreads)GCHandle.FromIntPtr(handle).Target!;
        try
        {
            threads.work!((int)index);
        }
        catch (Exception e)
        {
            // None may leave through native frames.
            lock (threads)
            {
                if (threads.error is null || (int)index < threads.failed)
                    (threads.error, threads.failed) = (e, (int)index);
            }
        }
    }
}
