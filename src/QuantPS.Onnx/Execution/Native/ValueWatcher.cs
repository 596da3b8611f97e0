using QuantPS.Engine.Observers;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>Looks at a value while ONNX Runtime runs, in its own buffer, on one of its threads.</summary>
/// <param name="index">Which value it is.</param>
/// <param name="data">float32, gone when the watcher returns.</param>
/// <param name="shape">Its shape.</param>
/// <param name="threads">The session's own threads, which have nothing else to do meanwhile; null where they are shown other values.</param>
internal delegate void ValueWatcher(int index, ReadOnlySpan<float> data, ReadOnlySpan<int> shape, IWorkSharing? threads);
