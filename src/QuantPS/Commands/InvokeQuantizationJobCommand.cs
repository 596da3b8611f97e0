using System.Collections;
using System.Collections.ObjectModel;
using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Errors;
using QuantPS.Models;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Jobs;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Commands;

/// <summary>Invoke-QuantizationJob: calibrates, quantizes, compares and writes the models of a folder. One result a model, as it is finished.</summary>
/// <remarks>A model that fails is an error and a result with the status Failed, and the others go on. The quantized model gets
/// its name in the destination once it is complete, so that one that is there is finished: it is skipped unless -Force is given, and a job
/// that was stopped can be started again.</remarks>
[Cmdlet(VerbsLifecycle.Invoke, "QuantizationJob", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(QuantizationJobResult))]
public sealed class InvokeQuantizationJobCommand : PathInputCmdlet
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);
    private static readonly StringComparer FileNames = OperatingSystem.IsLinux() ? StringComparer.Ordinal : StringComparer.OrdinalIgnoreCase;

    private readonly Dictionary<string, string> sources = new(FileNames);
    private readonly Dictionary<QuantizationJob, ProgressReporter> bars = [];
    private string folder = "";
    private TensorData? shared;
    private QuantizeOptions? options;
    private JobQueue? queue;
    private ProgressReporter? progress;

    /// <summary>The folder for the quantized models, each under the name of its float model. It is made when the first one is written.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNullOrEmpty]
    public string Destination { get; set; } = "";

    /// <summary>What to calibrate with and to measure the error on: tensors, hashtables of them for models with several inputs, paths of files of tensors (read anew for every model, as they
    /// are), or a script block that gives either, run for each model with its file as $_.</summary>
    [Parameter(Mandatory = true, Position = 2)]
    [ValidateNotNullOrEmpty]
    public object[] Data { get; set; } = [];

    /// <summary>The observers and the engine: a QConfig, or the name of a preset. x86 by default.</summary>
    [Parameter(Position = 3)]
    [ValidateNotNull]
    [QConfig]
    [ArgumentCompleter(typeof(QConfigCompleter))]
    public QConfig QConfig { get; set; } = QConfigPresets.Default;

    /// <summary>What is decided after calibration: a hashtable of ConvertTo-Quantized's parameters, @{ PerChannel = $true; ExcludeOpType = 'Softmax' }, or a
    /// script block that gives one for each model, with its file as $_.</summary>
    [Parameter]
    [ValidateNotNull]
    public object? Option { get; set; }

    /// <summary>The form of the files: QDQ (the default) or QOperator, as Export-QModel has them. quantize_static: quant_format.</summary>
    [Parameter]
    public QuantFormat Format { get; set; } = QuantFormat.QDQ;

    /// <summary>How many models at a time; 1 by default, because a single one uses all cores for most of its time. The files are the same.</summary>
    [Parameter]
    [ValidateRange(1, 1024)]
    public int ThrottleLimit { get; set; } = 1;

    /// <summary>Quantizes models anew whose output is there, and replaces it.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <inheritdoc/>
    protected override void Begin()
    {
        folder = System.IO.Path.GetFullPath(ProviderPaths.ResolveOutput(this, Destination, literal: true));
        if (File.Exists(folder))
            throw new QuantException(ErrorIds.FileNotWritable, $"'{folder}' is a file; -Destination names a folder.", folder);
        if (Script is null)
            shared = new TensorData(this, Data);
        // A slip in the hashtable is one for all models.
        if (Unwrap(Option) is not (null or ScriptBlock))
            options = ReadOptions(Option, "-Option");
        queue = new JobQueue(ThrottleLimit);
        progress = new ProgressReporter(this, $"Quantizing models to {Destination}", "models");
    }

    /// <inheritdoc/>
    protected override void ProcessFile(string file)
    {
        if (!MyInvocation.ExpectingInput && (Path.Length == 1 || LiteralPath.Length == 1))
            progress!.Total = FileCount;
        string output = System.IO.Path.Combine(folder, System.IO.Path.GetFileNameWithoutExtension(file) + ".onnx");
        if (sources.TryGetValue(output, out string? other) && FileNames.Equals(other, file))
            return;
        try
        {
            CheckOutput(file, output, other);
            sources.Add(output, file);
            if (!Force && File.Exists(output))
            {
                Write(Result(file, output, JobStatus.Skipped));
                return;
            }
            if (!ShouldProcess(output, $"Quantize model {file}"))
                return;
            TensorData data = shared ?? new TensorData(this, Ask(Script!, file, "-Data"));
            Start(new QuantizationJob(file, output, QConfig, data.Samples, Force, options ?? OptionsOf(file), Format == QuantFormat.QOperator ? QOperatorExporter.Export : QdqExporter.Export), data.Count);
        }
        catch (QuantException e)
        {
            Fail(Result(file, output, JobStatus.Failed), e);
        }
        // Here rather than before the next one starts: results do not wait for the pipeline, and one at a time keeps the order.
        Take(() => queue!.IsFull);
    }

    /// <inheritdoc/>
    protected override void End()
    {
        if (progress is not null)
            progress.Total = progress.Done + queue!.Running.Count;
        Take(() => queue!.Running.Count > 0);
        progress?.Dispose();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // Ctrl+C, an error that ends the pipeline, Select-Object -First: what still runs ends here, without a file.
        queue?.Dispose();
        base.Dispose(disposing);
    }

    private ScriptBlock? Script => Data is [var only] ? Unwrap(only) as ScriptBlock : null;

    private static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    private static QuantizeOptions? ReadOptions(object? value, string what) => Unwrap(value) switch
    {
        null => null,
        IDictionary given => QuantizeOptionsReader.Read(given),
        object other => throw new QuantException(ErrorIds.InvalidArgument,
            $"{what} takes a hashtable of ConvertTo-Quantized's parameters, or a script block that gives one, not {other.GetType().Name}.", other),
    };

    private QuantizeOptions? OptionsOf(string file)
    {
        if (Unwrap(Option) is not ScriptBlock script)
            return null;
        Collection<PSObject> given = Ask(script, file, "-Option");
        return given.Count <= 1 ? ReadOptions(given.FirstOrDefault(), $"-Option for '{file}'")
            : throw new QuantException(ErrorIds.InvalidArgument, $"-Option gives {given.Count} objects for '{file}'; one hashtable is wanted.", file);
    }

    private static void CheckOutput(string file, string output, string? other)
    {
        if (File.Exists(output) && FileNames.Equals(WithoutLinks(file), WithoutLinks(output)))
            throw new QuantException(ErrorIds.InvalidArgument, $"'{file}' would be replaced by its quantized model. Give another folder as -Destination.", file);
        if (other is not null)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                $"'{file}' and '{other}' have the same name, so '{output}' can be made of only one of them. Give them folders of their own.", file);
        }
        if (Directory.Exists(output))
            throw new QuantException(ErrorIds.FileNotWritable, $"'{output}' is a folder, and the quantized model cannot have its name.", file);
    }

    /// <summary>The file itself, where it or its folder is a link.</summary>
    private static string WithoutLinks(string file)
    {
        string parent = System.IO.Path.GetDirectoryName(file) ?? "";
        string real = System.IO.Path.Combine(new DirectoryInfo(parent).ResolveLinkTarget(true)?.FullName ?? parent, System.IO.Path.GetFileName(file));
        return new FileInfo(real).ResolveLinkTarget(true)?.FullName ?? real;
    }

    /// <summary>What a script block gives for a model.</summary>
    private static Collection<PSObject> Ask(ScriptBlock script, string file, string parameter)
    {
        try
        {
            return script.InvokeWithContext(null, [new PSVariable("_", new FileInfo(file))]);
        }
        catch (RuntimeException e) when (e is not PipelineStoppedException)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"{parameter} fails for '{file}': {e.Message}", file, e);
        }
    }

    private void Start(QuantizationJob job, int? tensors)
    {
        int id = 1;
        while (bars.Values.Any(b => b.Id == id))
            id++;
        // Every tensor is gone through twice: to calibrate and to compare.
        bars.Add(job, new ProgressReporter(this, System.IO.Path.GetFileNameWithoutExtension(job.Source), "tensors", 2 * tensors) { Id = id, ParentId = 0 });
        queue!.Start(job);
    }

    /// <summary>Hands over what is finished, and waits for more while it has to.</summary>
    private void Take(Func<bool> wait)
    {
        while (true)
        {
            bool waiting = wait();
            if (queue!.TryTake(waiting ? Tick : TimeSpan.Zero, Cancellation, out FinishedJob? job))
                Report(job);
            else if (!waiting)
                return;
            foreach ((QuantizationJob running, ProgressReporter bar) in bars)
                bar.Advance(running.Batches - bar.Done);
            progress!.Advance(0);
        }
    }

    private void Report(FinishedJob finished)
    {
        if (bars.Remove(finished.Job, out ProgressReporter? bar))
            bar.Dispose();
        QuantizationJobResult result = Result(finished.Job.Source, finished.Job.Destination, JobStatus.Failed) with { Elapsed = finished.Elapsed };
        if (finished.Outcome is not { } outcome)
        {
            Fail(result, finished.Error!);
            return;
        }
        foreach (string warning in outcome.Warnings)
            WriteWarning($"{result.Model}: {warning}");
        ErrorSums? error = outcome.Error.Count > 0 ? outcome.Error : null;
        Write(result with
        {
            Status = JobStatus.Done,
            Quantized = QuantizedModel.CountQuantized(outcome.Graph),
            Samples = outcome.Samples,
            SqnrDb = error?.SqnrDb,
            Cosine = error?.Cosine,
            MaxError = error?.MaxError,
            FloatSizeBytes = outcome.FloatSizeBytes,
            SizeBytes = outcome.SizeBytes,
            Warnings = [.. outcome.Warnings],
        });
    }

    private static QuantizationJobResult Result(string file, string output, JobStatus status) =>
        new() { Model = System.IO.Path.GetFileNameWithoutExtension(file), Status = status, Source = file, Destination = output };

    /// <summary>A result and an error, which is about the model, whatever the fault (a sample, say) was.</summary>
    private void Fail(QuantizationJobResult result, Exception error)
    {
        Write(result with { Error = error.Message });
        ErrorRecord record = ErrorRecords.From(error);
        WriteError(new ErrorRecord(error, record.FullyQualifiedErrorId, record.CategoryInfo.Category, result.Source)
        {
            ErrorDetails = new ErrorDetails($"{result.Model}: {error.Message}"),
        });
    }

    private void Write(QuantizationJobResult result)
    {
        progress!.Advance();
        WriteObject(result);
    }
}
