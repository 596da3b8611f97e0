namespace QuantPS.Engine.Observers;

/// <summary>Threads that share the work of looking at a tensor. No result depends on how many there are.</summary>
public interface IWorkSharing
{
    /// <summary>How many there are, the calling one included.</summary>
    int Threads { get; }

    /// <summary>Does parts 0..count-1, some of them at the same time, and returns when all are done.</summary>
    void Run(int count, Action<int> part);
}
