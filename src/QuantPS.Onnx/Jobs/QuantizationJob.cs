using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Jobs;

/// <summary>One model from file to file: read, calibrated, quantized, compared with the float one, written in QDQ form.</summary>
/// <param name="source">The float model's file.</param>
/// <param name="destination">The quantized model's file; its folder is made where it lacks. The file appears by rename, after everything else
/// went well.</param>
/// <param name="config">The observers and the engine.</param>
/// <param name="data">Gives the tensors; asked twice, to calibrate and to compare.</param>
/// <param name="overwrite">Whether an existing file may be replaced.</param>
/// <param name="options">What is decided after calibration; by default what the configuration says.</param>
/// <param name="export">Gives the form of the file; QDQ by default.</param>
public sealed class QuantizationJob(string source, string destination, QConfig config, Func<IEnumerable<ModelSample>> data, bool overwrite = false,
    QuantizeOptions? options = null, Func<QuantizedGraph, ExportResult>? export = null)
{
    // Calibrating, ONNX Runtime takes turns with observers; comparing, with our kernels; and other models may be at work beside.
    private static readonly SessionSettings Settings = new() { Spin = false };

    private long batches;

    /// <summary>The float model's file.</summary>
    public string Source => source;

    /// <summary>The quantized model's file.</summary>
    public string Destination => destination;

    /// <summary>Tensors calibrated with and compared on so far; may be read from any thread.</summary>
    public long Batches => Interlocked.Read(ref batches);

    /// <summary>Does it all.</summary>
    /// <param name="cancellation">Asked between tensors, between operators, and before the file is written.</param>
    /// <exception cref="QuantException">Whatever is wrong with the model, the data, or the destination; nothing is written then.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is written.</exception>
    public QuantizationOutcome Run(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        OnnxModel model = OnnxModel.Load(source);
        CalibrationData calibration = Calibrate(model, cancellation);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: options);
        cancellation.ThrowIfCancellationRequested();
        ExportResult written = (export ?? QdqExporter.Export)(graph);
        ErrorSums error = Compare(graph, cancellation);
        cancellation.ThrowIfCancellationRequested();
        CreateFolder();
        written.Model.Save(destination, overwrite);
        return new QuantizationOutcome
        {
            Graph = graph,
            Error = error,
            Samples = calibration.SampleCount,
            FloatSizeBytes = model.SizeBytes,
            SizeBytes = written.Model.SizeBytes,
            Warnings = [.. graph.Warnings, .. written.Notes],
        };
    }

    private CalibrationData Calibrate(OnnxModel model, CancellationToken cancellation)
    {
        using Calibrator calibrator = new(model, config, settings: Settings with { Cancellation = cancellation });
        foreach (ModelSample sample in data())
        {
            cancellation.ThrowIfCancellationRequested();
            calibrator.Observe(sample);
            Interlocked.Increment(ref batches);
        }
        return calibrator.Finish();
    }

    private ErrorSums Compare(QuantizedGraph graph, CancellationToken cancellation)
    {
        ErrorSums sums = new();
        SessionSettings settings = Settings with { Cancellation = cancellation };
        using OnnxRuntimeSession reference = new(graph.Original, settings: settings);
        // Positions and the like have no error in real numbers.
        string[] outputs = [.. reference.Outputs.Where(o => o.ElementType == DataType.Float).Select(o => o.Name)];
        if (outputs.Length == 0)
            return sums;
        using Int8Plan plan = new(graph, settings);
        foreach (ModelSample sample in data())
        {
            cancellation.ThrowIfCancellationRequested();
            PlanResult quantized = plan.Run(sample.For(plan.Inputs));
            reference.Run(sample.For(reference.Inputs), outputs, (name, values, _) => sums.Add(values, quantized.Outputs[name].Span, name));
            Interlocked.Increment(ref batches);
        }
        return sums;
    }

    private void CreateFolder()
    {
        try
        {
            if (Path.GetDirectoryName(destination) is { Length: > 0 } folder)
                Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new QuantException(ErrorIds.FileNotWritable, $"The folder of '{destination}' cannot be made: {e.Message}", destination, e);
        }
    }
}
