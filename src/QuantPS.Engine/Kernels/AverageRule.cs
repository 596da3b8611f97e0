using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>What a window is divided by.</summary>
internal enum AverageDivisor
{
    /// <summary>Its pixels inside the input.</summary>
    Inside,

    /// <summary>Its pixels, with padding.</summary>
    Whole,

    /// <summary>A given number.</summary>
    Fixed,

    /// <summary>Its pixels inside the input, dimension after dimension in float32.</summary>
    ByDimension,
}

/// <summary>Which of the formulas named at <see cref="QuantizedAveragePool"/> and <see cref="QuantizedAdaptiveAveragePool"/> makes an integer of a window's sum.</summary>
internal enum AverageForm
{
    /// <summary>rne(sum * f32(1/n)) + z.</summary>
    Factor,

    /// <summary>The reciprocal of the reciprocal of f32(1/n) instead.</summary>
    ReciprocalFactor,

    /// <summary>rne(sum * f32(1/n) + z).</summary>
    ZeroPointInside,

    /// <summary>rne(sum * (s / (s * n))) + z.</summary>
    Qnnpack,

    /// <summary>rne(sum * f32(1/n)) of the integers as they are, without zero point.</summary>
    Raw,

    /// <summary>rne(sum / n / s_y + z_y) of the reals, summed pixel by pixel in float32: the result has parameters of its own.</summary>
    Onnx,

    /// <summary>rne(sum * (s / (s_y * n))) + z_y: the same of a window that is the whole image.</summary>
    OnnxWhole,
}

/// <summary>A window's sum of (x - z) in int32 to its mean, rounded: f32(sum) * factor, plus something before or after rounding. Or that of the sum of its
/// reals, see <see cref="IsOfReals"/>.</summary>
internal readonly struct AverageRule
{
    private readonly AverageForm form;
    private readonly AverageDivisor divisor;
    private readonly int fixedDivisor, low, high;

    /// <param name="p">Of input and output, 8 bits.</param>
    /// <param name="form">The formula.</param>
    /// <param name="divisor">What n is.</param>
    /// <param name="fixedDivisor">n, where it is given.</param>
    /// <param name="channels">Of the tensor.</param>
    /// <param name="options">In compat mode the last channels of <see cref="AverageForm.Factor"/> have <see cref="AverageForm.ReciprocalFactor"/>.</param>
    /// <param name="output">8-bit parameters of the result, of the input's dtype, for the last two forms; null for the input's.</param>
    public AverageRule(QParams p, AverageForm form, AverageDivisor divisor, int fixedDivisor, int channels, LayerOptions options, QParams? output = null)
    {
        Scale = p.Scales[0];
        OutputScale = (output ?? p).Scales[0];
        (low, high) = p.DType.Range();
        Signed = p.DType == QDType.QInt8;
        this.form = form;
        this.divisor = divisor;
        this.fixedDivisor = fixedDivisor;
        ZeroPoint = form == AverageForm.Raw ? 0 : p.ZeroPoints[0];
        // ONNX Runtime makes quint8 of qint8 first.
        int raised = Signed ? 128 : 0;
        Before = form switch { AverageForm.ZeroPointInside => ZeroPoint, AverageForm.Onnx => (output ?? p).ZeroPoints[0] + raised, _ => 0f };
        After = form switch { AverageForm.ZeroPointInside => 0, AverageForm.Onnx => -raised, AverageForm.OnnxWhole => (output ?? p).ZeroPoints[0], _ => ZeroPoint };
        int lanes = options.TorchVersion == TorchVersion.V1_13 ? 8 : 16;
        VectorChannels = options.Compat && form == AverageForm.Factor ? channels - channels % lanes : int.MaxValue;
    }

    public bool Signed { get; }

    /// <summary>Of the input.</summary>
    public float Scale { get; }

    /// <summary>Of the result.</summary>
    public float OutputScale { get; }

    /// <summary>The sum is that of (x - z) * s in float32, each rounded, in the order of the pixels: where means lie between two steps, as those of four pixels
    /// often do, that decides. What <see cref="Factor"/> gives is n then.</summary>
    public bool IsOfReals => form == AverageForm.Onnx;

    /// <summary>What is taken off every integer.</summary>
    public int ZeroPoint { get; }

    /// <summary>Added before rounding.</summary>
    public float Before { get; }

    /// <summary>Added after rounding.</summary>
    public int After { get; }

    /// <summary>Channels from this one on have a factor of their own; int.MaxValue where none has.</summary>
    public int VectorChannels { get; }

    /// <summary>What a window's sum is multiplied by, or the sum of its reals divided.</summary>
    /// <param name="d">The window's depth: pixels inside the input, and with padding.</param>
    /// <param name="h">Its height.</param>
    /// <param name="w">Its width.</param>
    /// <param name="tail">For the channels from <see cref="VectorChannels"/> on.</param>
    public float Factor((int Count, int Whole) d, (int Count, int Whole) h, (int Count, int Whole) w, bool tail)
    {
        if (divisor == AverageDivisor.ByDimension)
            return 1f / d.Count / h.Count / w.Count;
        int n = divisor switch
        {
            AverageDivisor.Inside => d.Count * h.Count * w.Count,
            AverageDivisor.Whole => d.Whole * h.Whole * w.Whole,
            _ => fixedDivisor,
        };
        if (form == AverageForm.Qnnpack)
            return Scale / (Scale * n);
        if (form == AverageForm.OnnxWhole)
            return Scale / (OutputScale * n);
        if (IsOfReals)
            return n;
        float factor = 1f / n;
        return form == AverageForm.ReciprocalFactor || tail ? 1f / (1f / factor) : factor;
    }

    /// <summary>What an integer is summed as where <see cref="IsOfReals"/>.</summary>
    public float Real(int x) => (x - ZeroPoint) * Scale;

    /// <summary>The mean of a sum of reals.</summary>
    public byte Apply(float sum, float divisor) => unchecked((byte)(int)Math.Clamp(Rounding.HalfToEven(sum / divisor / OutputScale + Before) + After, low, high));

    /// <summary>The mean of a sum.</summary>
    public byte Apply(int sum, float factor) => unchecked((byte)(int)Math.Clamp(Rounding.HalfToEven(sum * factor + Before) + After, low, high));
}
