namespace QuantPS.Engine.Kernels.Selection;

/// <summary>The rungs of the dispatch ladder, slowest first. QUANTPS_KERNEL forces one.</summary>
public enum KernelTier
{
    Reference,
    Vector,
    Generated,
}
