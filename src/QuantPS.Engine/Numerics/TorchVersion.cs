namespace QuantPS.Engine.Numerics;

/// <summary>Whose arithmetic where PyTorch changed it: HistogramObserver's algorithm, oneDNN 2 or 3.</summary>
public enum TorchVersion
{
    /// <summary>PyTorch 2.x (checked against 2.10).</summary>
    V2,

    /// <summary>PyTorch 1.13.</summary>
    V1_13,
}
