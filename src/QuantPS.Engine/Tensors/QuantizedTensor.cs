using System.Runtime.InteropServices;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Tensors;

/// <summary>Integers with the parameters that give them meaning: real value = scale * (integer - zero point).</summary>
/// <remarks>Row-major; quint8 and qint8 take one byte an element, qint32 four, the 16-bit types two. 4-bit elements lie two in a byte, the first in
/// the low bits, as in PyTorch's quint4x2 and ONNX's raw data; rows are not padded. Not enumerable, as <see cref="Tensor"/>.</remarks>
public sealed class QuantizedTensor
{
    private readonly int[] shape;

    // Both change together, once, under a lock on the sizes, which nobody else sees.
    private Memory<byte> stored;
    private volatile bool isChannelsLast;
    private readonly bool isEither;

    /// <summary>Wraps the raw little-endian bytes of the integers (not copied).</summary>
    /// <exception cref="QuantException">ShapeMismatch: the bytes or the parameters do not fit the shape.</exception>
    public QuantizedTensor(int[] shape, Memory<byte> bytes, QParams qparams)
        : this(shape, bytes, qparams, KernelLayout.Contiguous)
    {
    }

    /// <summary>Wraps bytes in either layout. Whoever asks for the bytes of a channels-last tensor gets them turned, once and for all: outside the
    /// kernels every tensor is row-major.</summary>
    internal QuantizedTensor(int[] shape, Memory<byte> bytes, QParams qparams, KernelLayout layout)
    {
        int count = TensorShape.Count(shape);
        if (bytes.Length != qparams.DType.ByteCount(count))
        {
            throw new QuantException(ErrorIds.ShapeMismatch, $"{bytes.Length * 8L / qparams.DType.Bits()} integers cannot fill the shape "
                + $"[{TensorShape.Format(shape)}], which has {count} elements.");
        }
        qparams.CheckFits(shape);
        this.shape = (int[])shape.Clone();
        stored = bytes;
        // With one channel or one pixel both layouts are the same.
        isEither = shape.Length > 2 && (shape[1] == 1 || TensorShape.Count(shape.AsSpan(2)) == 1);
        isChannelsLast = layout == KernelLayout.ChannelsLast && shape.Length > 2 && !isEither;
        Length = count;
        QParams = qparams;
    }

    /// <summary>Allocates a tensor of zero integers (which are not zeros of the real line unless the zero point is 0).</summary>
    public static QuantizedTensor Allocate(int[] shape, QParams qparams) =>
        new(shape, new AlignedBuffer<byte>(checked((int)qparams.DType.ByteCount(TensorShape.Count(shape)))).Memory, qparams);

    /// <summary>From known integers.</summary>
    /// <exception cref="QuantException">InvalidArgument: an integer outside the dtype's range; ShapeMismatch.</exception>
    public static QuantizedTensor FromIntegers(ReadOnlySpan<int> integers, int[] shape, QParams qparams)
    {
        int count = TensorShape.Count(shape);
        if (integers.Length != count)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{integers.Length} integers cannot fill the shape [{TensorShape.Format(shape)}], which has {count} elements.");
        QuantizedTensor t = Allocate(shape, qparams);
        (int min, int max) = qparams.DType.Range();
        for (int i = 0; i < integers.Length; i++)
        {
            if (integers[i] < min || integers[i] > max)
                throw new QuantException(ErrorIds.InvalidArgument, $"Integer {integers[i]} at position {i} does not fit {qparams.DType.TorchName()}, {min} to {max}.");
            t.SetInteger(i, integers[i]);
        }
        return t;
    }

    /// <summary>Sizes of the dimensions (a copy).</summary>
    public int[] Shape => (int[])shape.Clone();

    /// <summary>Sizes of the dimensions, without copying.</summary>
    public ReadOnlySpan<int> Dims => shape;

    public int Rank => shape.Length;

    /// <summary>Number of elements.</summary>
    public int Length { get; }

    /// <summary>Scale, zero point, dtype, scheme and axis together.</summary>
    public QParams QParams { get; }

    public QDType DType => QParams.DType;

    public QScheme Scheme => QParams.Scheme;

    /// <summary>The dimension along which scales differ; -1 per tensor.</summary>
    public int Axis => QParams.Axis;

    /// <summary>A double per tensor, a double[] per channel; float32 values with all their digits.</summary>
    public object Scale => QParams.Scale;

    /// <summary>An int per tensor, an int[] per channel.</summary>
    public object ZeroPoint => QParams.ZeroPoint;

    /// <summary>Where the tensor came from, if it was quantized from one that had a source.</summary>
    public string? Source { get; init; }

    /// <summary>Name of the graph value it is, when it came out of a model.</summary>
    public string? Name { get; init; }

    /// <summary>The raw storage, little-endian: one byte an element for the 8-bit types.</summary>
    public Span<byte> Bytes => Memory.Span;

    /// <summary>The raw storage.</summary>
    public Memory<byte> Memory => isChannelsLast ? Turned() : stored;

    /// <summary>The storage of a qint8 tensor.</summary>
    public Span<sbyte> SBytes => MemoryMarshal.Cast<byte, sbyte>(Memory.Span);

    /// <summary>The storage of a qint32 tensor.</summary>
    public Span<int> Ints => MemoryMarshal.Cast<byte, int>(Memory.Span);

    /// <summary>The raw integers, row-major, in the smallest type that holds them: byte[] for quint8 and quint4x2, sbyte[] for qint8 and int4, short[],
    /// ushort[], int[]. PyTorch's int_repr(), except that 4-bit elements come one by one; <see cref="Bytes"/> has them packed.</summary>
    public Array IntRepr() => DType switch
    {
        QDType.QUInt8 => Memory.ToArray(),
        QDType.QInt8 => SBytes.ToArray(),
        QDType.QInt16 => MemoryMarshal.Cast<byte, short>(Memory.Span).ToArray(),
        QDType.QUInt16 => MemoryMarshal.Cast<byte, ushort>(Memory.Span).ToArray(),
        QDType.QInt4 => Unpack(v => (sbyte)v),
        QDType.QUInt4 => Unpack(v => (byte)v),
        _ => Ints.ToArray(),
    };

    /// <summary>The integer at a row-major position.</summary>
    public int GetInteger(int position) => DType switch
    {
        QDType.QUInt8 => Memory.Span[position],
        QDType.QInt8 => (sbyte)Memory.Span[position],
        QDType.QInt16 => MemoryMarshal.Cast<byte, short>(Memory.Span)[position],
        QDType.QUInt16 => MemoryMarshal.Cast<byte, ushort>(Memory.Span)[position],
        // Shifted to the top of an int and back, so that the sign comes along.
        QDType.QInt4 => Memory.Span[position >> 1] << (28 - 4 * (position & 1)) >> 28,
        QDType.QUInt4 => Memory.Span[position >> 1] >> (4 * (position & 1)) & 15,
        _ => Ints[position],
    };

    /// <summary>Writes an integer that is known to fit the dtype.</summary>
    internal void SetInteger(int position, int value)
    {
        switch (DType.Bits())
        {
            case 32:
                Ints[position] = value;
                break;
            case 16:
                MemoryMarshal.Cast<byte, short>(Memory.Span)[position] = unchecked((short)value);
                break;
            case 4:
                ref byte pair = ref Memory.Span[position >> 1];
                int shift = 4 * (position & 1);
                pair = (byte)(pair & ~(15 << shift) | (value & 15) << shift);
                break;
            default:
                Memory.Span[position] = unchecked((byte)value);
                break;
        }
    }

    /// <summary>The integer at an index, one number per dimension. Negative ones count from the end.</summary>
    public int this[params int[] index] => GetInteger(TensorShape.Offset(shape, index));

    // PowerShell finds $t[0, 1, 2] only where an indexer has just as many parameters; 3-D convolutions have five dimensions.

    /// <inheritdoc cref="this[int[]]"/>
    public int this[int i] => GetInteger(TensorShape.Offset(shape, [i]));

    /// <inheritdoc cref="this[int[]]"/>
    public int this[int i, int j] => GetInteger(TensorShape.Offset(shape, [i, j]));

    /// <inheritdoc cref="this[int[]]"/>
    public int this[int i, int j, int k] => GetInteger(TensorShape.Offset(shape, [i, j, k]));

    /// <inheritdoc cref="this[int[]]"/>
    public int this[int i, int j, int k, int l] => GetInteger(TensorShape.Offset(shape, [i, j, k, l]));

    /// <inheritdoc cref="this[int[]]"/>
    public int this[int i, int j, int k, int l, int m] => GetInteger(TensorShape.Offset(shape, [i, j, k, l, m]));

    /// <summary>Back to float32: scale * (integer - zero point).</summary>
    public Tensor Dequantize() => Quantizer.Dequantize(this);

    /// <summary>The same integers and parameters under another shape (per tensor only; per channel the axis would lose its meaning).</summary>
    public QuantizedTensor Reshape(params int[] newShape)
    {
        // Pixels stay pixels where images and channels stay what they are.
        bool staysPixels = newShape.Length > 2 && Rank > 2 && newShape[0] == shape[0] && newShape[1] == shape[1];
        return staysPixels && TryGetChannelsLast(out Memory<byte> pixels) ? new(newShape, pixels, QParams, KernelLayout.ChannelsLast) { Source = Source, Name = Name }
            : new(newShape, Memory, QParams) { Source = Source, Name = Name };
    }

    /// <summary>The same integers (not copied) under other parameters, in the layout that they have.</summary>
    /// <exception cref="QuantException">ShapeMismatch: parameters that do not fit the shape.</exception>
    public QuantizedTensor With(QParams qparams) =>
        TryGetChannelsLast(out Memory<byte> pixels) ? new(shape, pixels, qparams, KernelLayout.ChannelsLast) { Source = Source, Name = Name }
            : new(shape, stored, qparams) { Source = Source, Name = Name };

    /// <summary>The raw storage in whatever order its elements lie: for what treats all of them alike.</summary>
    public Memory<byte> AnyLayout => TryGetChannelsLast(out Memory<byte> pixels) ? pixels : stored;

    /// <summary>The memory of the pixels, once they were turned; empty before.</summary>
    internal Memory<byte> LeftLayout { get; private set; }

    /// <summary>Whether the bytes lie pixel by pixel and could not as well be planes.</summary>
    internal bool IsChannelsLast => !isEither && TryGetChannelsLast(out _);

    /// <summary>The bytes pixel by pixel, [N, spatial..., C], if that is how they lie.</summary>
    internal bool TryGetChannelsLast(out Memory<byte> pixels)
    {
        if (!isChannelsLast)
        {
            pixels = isEither ? stored : default;
            return isEither;
        }
        lock (shape)
        {
            pixels = isChannelsLast ? stored : default;
            return isChannelsLast;
        }
    }

    private Memory<byte> Turned()
    {
        lock (shape)
        {
            if (isChannelsLast)
            {
                Memory<byte> planes = ActivationPool.Allocate(stored.Length);
                LayoutConversion.ToContiguous(stored, planes, shape[0], shape[1], TensorShape.Count(shape.AsSpan(2)));
                LeftLayout = stored;
                stored = planes;
                isChannelsLast = false;
            }
            return stored;
        }
    }

    private T[] Unpack<T>(Func<int, T> narrow)
    {
        var integers = new T[Length];
        for (int i = 0; i < integers.Length; i++)
            integers[i] = narrow(GetInteger(i));
        return integers;
    }

    public override string ToString() => $"QuantizedTensor [{TensorShape.Format(shape)}] {QParams}";
}
