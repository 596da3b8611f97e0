namespace QuantPS.Engine.Errors;

/// <summary>The catalogue of everything that can go wrong, by stable name. A cmdlet's ErrorId is one of these.</summary>
/// <remarks>Scripts match on these names: never rename one, only add. The category of each is in <see cref="ErrorCatalog"/>.</remarks>
public static class ErrorIds
{
    public const string InvalidShape = nameof(InvalidShape);
    public const string ShapeMismatch = nameof(ShapeMismatch);
    public const string InvalidScale = nameof(InvalidScale);
    public const string ZeroPointOutOfRange = nameof(ZeroPointOutOfRange);
    public const string InvalidQuantizationRange = nameof(InvalidQuantizationRange);
    public const string InvalidArgument = nameof(InvalidArgument);
    public const string NotANumber = nameof(NotANumber);
    public const string NotFinite = nameof(NotFinite);
    public const string NeverObserved = nameof(NeverObserved);
    public const string ObserverHasNoRange = nameof(ObserverHasNoRange);
    public const string UnknownObserver = nameof(UnknownObserver);
    public const string UnknownEngine = nameof(UnknownEngine);
    public const string UnknownQConfig = nameof(UnknownQConfig);
    public const string UnsupportedDType = nameof(UnsupportedDType);
    public const string UnsupportedScheme = nameof(UnsupportedScheme);
    public const string AsymmetricWeightRefused = nameof(AsymmetricWeightRefused);
    public const string InvalidRequantizationScale = nameof(InvalidRequantizationScale);
    public const string InvalidForcedKernel = nameof(InvalidForcedKernel);
    public const string FileNotFound = nameof(FileNotFound);
    public const string FileUnreadable = nameof(FileUnreadable);
    public const string FileFormat = nameof(FileFormat);
    public const string FileTruncated = nameof(FileTruncated);
    public const string FileExists = nameof(FileExists);
    public const string FileNotWritable = nameof(FileNotWritable);
    public const string NotAnOnnxModel = nameof(NotAnOnnxModel);
    public const string InvalidModel = nameof(InvalidModel);
    public const string ExternalDataOutsideFolder = nameof(ExternalDataOutsideFolder);
    public const string UnsupportedOperator = nameof(UnsupportedOperator);
    public const string NothingToQuantize = nameof(NothingToQuantize);
    public const string NotCalibrated = nameof(NotCalibrated);
    public const string CalibrationMismatch = nameof(CalibrationMismatch);
    public const string NotASingleLayer = nameof(NotASingleLayer);
    public const string LayerNotFound = nameof(LayerNotFound);
    public const string InferenceFailed = nameof(InferenceFailed);
    public const string LabelMismatch = nameof(LabelMismatch);
    public const string Unexpected = nameof(Unexpected);
}

/// <summary>What kind of failure an error is; the cmdlets translate it to PowerShell's ErrorCategory.</summary>
public enum ErrorKind
{
    InvalidArgument,
    InvalidData,
    InvalidOperation,
    NotImplemented,
    ObjectNotFound,
    ResourceExists,
    ReadError,
    WriteError,
    NotSpecified,
}

/// <summary>One line per error id: its kind.</summary>
public static class ErrorCatalog
{
    private static readonly Dictionary<string, ErrorKind> Kinds = new(StringComparer.Ordinal)
    {
        [ErrorIds.InvalidShape] = ErrorKind.InvalidArgument,
        [ErrorIds.ShapeMismatch] = ErrorKind.InvalidData,
        [ErrorIds.InvalidScale] = ErrorKind.InvalidArgument,
        [ErrorIds.ZeroPointOutOfRange] = ErrorKind.InvalidArgument,
        [ErrorIds.InvalidQuantizationRange] = ErrorKind.InvalidArgument,
        [ErrorIds.InvalidArgument] = ErrorKind.InvalidArgument,
        [ErrorIds.NotANumber] = ErrorKind.InvalidData,
        [ErrorIds.NotFinite] = ErrorKind.InvalidData,
        [ErrorIds.NeverObserved] = ErrorKind.InvalidOperation,
        [ErrorIds.ObserverHasNoRange] = ErrorKind.InvalidOperation,
        [ErrorIds.UnknownObserver] = ErrorKind.ObjectNotFound,
        [ErrorIds.UnknownEngine] = ErrorKind.ObjectNotFound,
        [ErrorIds.UnknownQConfig] = ErrorKind.ObjectNotFound,
        [ErrorIds.UnsupportedDType] = ErrorKind.NotImplemented,
        [ErrorIds.UnsupportedScheme] = ErrorKind.NotImplemented,
        [ErrorIds.AsymmetricWeightRefused] = ErrorKind.InvalidOperation,
        [ErrorIds.InvalidRequantizationScale] = ErrorKind.InvalidData,
        [ErrorIds.InvalidForcedKernel] = ErrorKind.InvalidArgument,
        [ErrorIds.FileNotFound] = ErrorKind.ObjectNotFound,
        [ErrorIds.FileUnreadable] = ErrorKind.ReadError,
        [ErrorIds.FileFormat] = ErrorKind.InvalidData,
        [ErrorIds.FileTruncated] = ErrorKind.InvalidData,
        [ErrorIds.FileExists] = ErrorKind.ResourceExists,
        [ErrorIds.FileNotWritable] = ErrorKind.WriteError,
        [ErrorIds.NotAnOnnxModel] = ErrorKind.InvalidData,
        [ErrorIds.InvalidModel] = ErrorKind.InvalidData,
        [ErrorIds.ExternalDataOutsideFolder] = ErrorKind.InvalidData,
        [ErrorIds.UnsupportedOperator] = ErrorKind.NotImplemented,
        [ErrorIds.NothingToQuantize] = ErrorKind.InvalidOperation,
        [ErrorIds.NotCalibrated] = ErrorKind.InvalidOperation,
        [ErrorIds.CalibrationMismatch] = ErrorKind.InvalidData,
        [ErrorIds.NotASingleLayer] = ErrorKind.InvalidOperation,
        [ErrorIds.LayerNotFound] = ErrorKind.ObjectNotFound,
        [ErrorIds.InferenceFailed] = ErrorKind.InvalidOperation,
        [ErrorIds.LabelMismatch] = ErrorKind.InvalidData,
        [ErrorIds.Unexpected] = ErrorKind.NotSpecified,
    };

    /// <summary>Every id in the catalogue.</summary>
    public static IReadOnlyCollection<string> Ids => Kinds.Keys;

    /// <summary>The kind of an error id; <see cref="ErrorKind.NotSpecified"/> for an id outside the catalogue.</summary>
    public static ErrorKind KindOf(string errorId) => Kinds.GetValueOrDefault(errorId, ErrorKind.NotSpecified);
}
