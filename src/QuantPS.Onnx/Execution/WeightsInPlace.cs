using System.Buffers;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Execution;

/// <summary>Gives the weights of a large model to ONNX Runtime where they lie in memory (or in a mapped file), without serializing or copying
/// them: models may be larger than a message can be.</summary>
/// <remarks>Each weight is declared to be a file of its own, and that file to be in memory already. The .NET binding has no method for this,
/// only the table of the C functions. Source: onnxruntime_c_api.h, AddExternalInitializersFromFilesInMemory;
/// onnxruntime_session_options_config_keys.h, session.use_external_initializer_file_buffers_directly. Must outlive the session.</remarks>
internal sealed unsafe class WeightsInPlace : IDisposable
{
    private const string UseBuffersDirectly = "session.use_external_initializer_file_buffers_directly";

    private readonly List<MemoryHandle> pinned = [];
    private readonly List<ByteString> kept = [];

    /// <param name="proto">The model; loses the values of its large initializers.</param>
    /// <param name="options">Learns where they are.</param>
    public WeightsInPlace(ModelProto proto, SessionOptions options)
    {
        List<nint> names = [], buffers = [];
        List<nuint> lengths = [];
        try
        {
            foreach (TensorProto t in proto.Graph.Initializer.Where(t => t.RawData.Length >= ModelFile.SmallestOutside))
            {
                ByteString bytes = t.RawData;
                MemoryHandle handle = bytes.Memory.Pin();
                pinned.Add(handle);
                kept.Add(bytes);
                string name = $"weight{names.Count}";
                names.Add(NativePath(name));
                buffers.Add((nint)handle.Pointer);
                lengths.Add((nuint)bytes.Length);
                ModelFile.Empty(t);
                ModelFile.PointTo(t, name, 0, bytes.Length);
            }
            if (names.Count == 0)
                return;
            options.AddSessionConfigEntry(UseBuffersDirectly, "1");
            Add(options, [.. names], [.. buffers], [.. lengths]);
        }
        finally
        {
            names.ForEach(Marshal.FreeCoTaskMem);
        }
    }

    public void Dispose()
    {
        pinned.ForEach(h => h.Dispose());
        pinned.Clear();
        kept.Clear();
    }

    private static void Add(SessionOptions options, nint[] names, nint[] buffers, nuint[] lengths)
    {
        OrtApiBase* versions = (OrtApiBase*)OrtGetApiBase();
        // The table only ever grows at its end, so that of the oldest version with this function will do.
        OrtApi* api = (OrtApi*)((delegate* unmanaged<uint, nint>)versions->GetApi)(FirstVersion);
        bool held = false;
        try
        {
            options.DangerousAddRef(ref held);
            fixed (nint* n = names, b = buffers)
            fixed (nuint* l = lengths)
            {
                nint status = ((delegate* unmanaged<nint, nint*, nint*, nuint*, nuint, nint>)api->AddExternalInitializersFromFilesInMemory)(
                    options.DangerousGetHandle(), n, b, l, (nuint)names.Length);
                if (status == 0)
                    return;
                string? message = Marshal.PtrToStringUTF8(((delegate* unmanaged<nint, nint>)api->GetErrorMessage)(status));
                ((delegate* unmanaged<nint, void>)api->ReleaseStatus)(status);
                throw new InvalidOperationException($"ONNX Runtime does not take weights in place: {message}");
            }
        }
        finally
        {
            if (held)
                options.DangerousRelease();
        }
    }

    /// <summary>Version of the C interface that brought the function.</summary>
    private const uint FirstVersion = 18;

    /// <summary>Paths are wide characters on Windows and bytes elsewhere.</summary>
    private static nint NativePath(string name) =>
        OperatingSystem.IsWindows() ? Marshal.StringToCoTaskMemUni(name) : Marshal.StringToCoTaskMemUTF8(name);

    [DllImport("onnxruntime")]
    private static extern nint OrtGetApiBase();
}
