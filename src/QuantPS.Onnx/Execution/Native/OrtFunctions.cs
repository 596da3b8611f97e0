using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>The table of ONNX Runtime's C functions, for what the .NET binding has no method for.</summary>
/// <remarks>The table only ever grows at its end, so that of the oldest version with all functions used here will do. The library is found as the binding
/// finds it, by the platform's rules for "onnxruntime". Source: onnxruntime_c_api.h.</remarks>
internal static unsafe class OrtFunctions
{
    /// <summary>The version of the C interface that is asked for: the first with GetTensorElementTypeAndShapeDataReference.</summary>
    public const uint Version = 24;

    private const int Fail = 1;

    public static readonly OrtApi* Api = (OrtApi*)((delegate* unmanaged<uint, nint>)((OrtApiBase*)OrtGetApiBase())->GetApi)(Version);

    /// <summary>Throws where a function gave an error.</summary>
    /// <exception cref="InvalidOperationException">With ONNX Runtime's words.</exception>
    public static void Check(nint status)
    {
        if (status == 0)
            return;
        string? message = Marshal.PtrToStringUTF8(((delegate* unmanaged<nint, nint>)Api->GetErrorMessage)(status));
        ((delegate* unmanaged<nint, void>)Api->ReleaseStatus)(status);
        throw new InvalidOperationException($"ONNX Runtime: {message}");
    }

    /// <summary>An error to give back to ONNX Runtime.</summary>
    public static nint Error(string message)
    {
        nint text = Marshal.StringToCoTaskMemUTF8(message);
        try
        {
            return ((delegate* unmanaged<int, nint, nint>)Api->CreateStatus)(Fail, text);
        }
        finally
        {
            Marshal.FreeCoTaskMem(text);
        }
    }

    /// <summary>Calls with the native options, which stay alive meanwhile.</summary>
    public static void With(SessionOptions options, Func<nint, nint> call)
    {
        bool held = false;
        try
        {
            options.DangerousAddRef(ref held);
            Check(call(options.DangerousGetHandle()));
        }
        finally
        {
            if (held)
                options.DangerousRelease();
        }
    }

    [DllImport("onnxruntime")]
    private static extern nint OrtGetApiBase();
}
