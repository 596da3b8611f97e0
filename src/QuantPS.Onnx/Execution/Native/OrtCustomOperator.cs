using System.Runtime.InteropServices;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>An operator that ONNX Runtime calls back: its OrtCustomOp, the functions in their order there, then what is our own.</summary>
/// <remarks>Source: onnxruntime_c_api.h, struct OrtCustomOp (of interface versions from 18 on).</remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct OrtCustomOperator
{
    public uint Version;
    public nint CreateKernel, GetName, GetExecutionProviderType, GetInputType, GetInputTypeCount, GetOutputType, GetOutputTypeCount, KernelCompute,
        KernelDestroy, GetInputCharacteristic, GetOutputCharacteristic, GetInputMemoryType, GetVariadicInputMinArity, GetVariadicInputHomogeneity,
        GetVariadicOutputMinArity, GetVariadicOutputHomogeneity, CreateKernelV2, KernelComputeV2, InferOutputShape, GetStartVersion, GetEndVersion,
        GetMayInplace, ReleaseMayInplace, GetAliasMap, ReleaseAliasMap;

    /// <summary>The managed object behind it; ONNX Runtime does not look at it.</summary>
    public nint Owner;
}
