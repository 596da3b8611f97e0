using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Export;

/// <summary>A quantized model in ONNX form, ready to be saved.</summary>
/// <param name="Model">The model.</param>
/// <param name="Notes">What could not be said in ONNX exactly, with the names of layers.</param>
public sealed record ExportResult(OnnxModel Model, IReadOnlyList<string> Notes);
