using System.Buffers;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Onnx.Execution.Native;
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
        fixed (nint* n = names, b = buffers)
        fixed (nuint* l = lengths)
        {
            // Pinned while the call lasts; a lambda cannot capture what is fixed.
            nint pn = (nint)n, pb = (nint)b, pl = (nint)l;
            OrtFunctions.With(options, handle => ((delegate* unmanaged<nint, nint*, nint*, nuint*, nuint, nint>)
                OrtFunctions.Api->AddExternalInitializersFromFilesInMemory)(handle, (nint*)pn, (nint*)pb, (nuint*)pl, (nuint)names.Length));
        }
    }

    /// <summary>Paths are wide characters on Windows and bytes elsewhere.</summary>
    private static nint NativePath(string name) =>
        OperatingSystem.IsWindows() ? Marshal.StringToCoTaskMemUni(name) : Marshal.StringToCoTaskMemUTF8(name);
}
