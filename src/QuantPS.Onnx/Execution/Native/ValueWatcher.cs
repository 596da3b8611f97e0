using QuantPS.Engine.Observers;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>Looks at a value while ONNX Runtime runs, in its own buffer, on its thread.</summary>
/// <param name="index">Which value it is.</param>
/// <param name="data">float32, gone when the watcher returns.</param>
/// <param name="shape">Its shape.</param>
/// <param name="threads">The session's own threads, which have nothing else to do meanwhile.</param>
internal delegate void ValueWatcher(int index, ReadOnlySpan<float> data, ReadOnlySpan<int> shape, IWorkSharing threads);
