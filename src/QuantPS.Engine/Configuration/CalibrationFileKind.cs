namespace QuantPS.Engine.Configuration;

/// <summary>Whose files calibrations are read from and written to.</summary>
public enum CalibrationFileKind
{
    /// <summary>This module's own: everything that was observed, without loss.</summary>
    QuantPS,

    /// <summary>ONNX Runtime's calibration tables: a range for every value.</summary>
    OnnxRuntime,

    /// <summary>AIMET's encodings: scale and offset of every value and weight.</summary>
    Aimet,
}
