using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace QuantPS.Onnx.Runtime;

/// <summary>Room for the inputs and outputs of a session, bound once, so that a run only copies into and out of it. To make values for ONNX Runtime and to ask
/// for the shapes of its results takes several times as long as to run a few small nodes.</summary>
/// <remarks>For one run at a time. Outputs have the shapes that they had when inputs had these shapes; where that does not hold, as shapes follow from values, ONNX
/// Runtime says so, and they are asked for from then on.</remarks>
internal sealed class IslandBinding : IDisposable
{
    /// <summary>Bytes up to which floats are copied; more are used where they lie.</summary>
    private const int MostCopied = 64 * 1024;

    private readonly OnnxRuntimeSession session;
    private readonly IReadOnlyList<string> inputs, outputs;
    private readonly OrtIoBinding binding;
    private readonly RunOptions options = new();
    private readonly Place[] given, made;
    private bool followsShapes = true;

    /// <param name="session">Who runs; outlives this.</param>
    /// <param name="inputs">Names of its inputs.</param>
    /// <param name="outputs">Names of the outputs that are wanted.</param>
    public IslandBinding(OnnxRuntimeSession session, IReadOnlyList<string> inputs, IReadOnlyList<string> outputs)
    {
        (this.session, this.inputs, this.outputs) = (session, inputs, outputs);
        binding = session.CreateBinding();
        given = new Place[inputs.Count];
        made = new Place[outputs.Count];
        Forget();
    }

    /// <summary>Runs.</summary>
    /// <param name="values">The inputs.</param>
    /// <param name="results">Receives the outputs.</param>
    /// <exception cref="QuantException">InferenceFailed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Run(ReadOnlySpan<GraphValue> values, Span<GraphValue?> results)
    {
        List<OrtValue> owned = [];
        try
        {
            bool same = true;
            for (int i = 0; i < given.Length; i++)
                same &= Give(i, values[i], owned);
            if (!same || !followsShapes)
                Forget();
            bool known = followsShapes && Array.TrueForAll(made, p => p.Shape is not null);
            if (known && Known(results, owned))
                return;
            Unknown(results);
        }
        finally
        {
            owned.ForEach(v => v.Dispose());
        }
    }

    public void Dispose()
    {
        foreach (Place place in given.Concat(made))
            place.Value?.Dispose();
        binding.Dispose();
        options.Dispose();
    }

    /// <summary>Puts an input where ONNX Runtime finds it.</summary>
    /// <returns>Whether it has the shape that it had before.</returns>
    private bool Give(int input, GraphValue value, List<OrtValue> owned)
    {
        ref Place place = ref given[input];
        (ReadOnlyMemory<float> floats, ReadOnlyMemory<byte> bytes, DataType type, int[]? shape) = Of(value);
        if (shape is null || !IsCopied(floats, bytes))
        {
            place.Free();
            binding.BindInput(inputs[input], value.ToOrt(owned));
            // What only ONNX Runtime understands may have any shape.
            bool same = shape is not null && place.Has(type, shape);
            (place.Type, place.Shape) = (type, shape);
            return same;
        }
        bool fits = place.Has(type, shape);
        if (!fits || place.Value is null)
        {
            place.Free();
            place = Place.Create(type, shape);
            binding.BindInput(inputs[input], place.Value!);
        }
        if (bytes.IsEmpty)
            MemoryMarshal.AsBytes(floats.Span).CopyTo(place.Bytes);
        else
            bytes.Span.CopyTo(place.Bytes);
        return fits;
    }

    private static (ReadOnlyMemory<float> Floats, ReadOnlyMemory<byte> Bytes, DataType Type, int[]? Shape) Of(GraphValue value)
    {
        if (value.Native is not null)
            return default;
        if (value.Typed is { } integers)
            return integers.Type is DataType.Int4 or DataType.Uint4 ? default : (default, integers.Memory, integers.Type, integers.Shape);
        Tensor real = value.Real();
        return (real.Memory, default, DataType.Float, real.Shape);
    }

    /// <summary>The outputs of other shapes may have any.</summary>
    private void Forget()
    {
        for (int o = 0; o < made.Length; o++)
        {
            made[o].Free();
            made[o] = default;
            binding.BindOutputToDevice(outputs[o], OrtMemoryInfo.DefaultInstance);
        }
    }

    /// <summary>A run that has told the shapes of the outputs beforehand.</summary>
    /// <returns>False where they are others.</returns>
    private bool Known(Span<GraphValue?> results, List<OrtValue> owned)
    {
        var direct = new GraphValue?[made.Length];
        for (int o = 0; o < made.Length; o++)
        {
            if (made[o].Value is not null)
                continue;
            Tensor real = new(made[o].Shape!, ActivationPool.AllocateFloats(TensorShape.Count(made[o].Shape))) { Name = outputs[o] };
            direct[o] = new GraphValue(real);
            owned.Add(OnnxRuntimeSession.ToOrt(real));
            binding.BindOutput(outputs[o], owned[^1]);
        }
        try
        {
            session.Run(binding, options);
        }
        catch (QuantException e) when (e.ErrorId == ErrorIds.InferenceFailed)
        {
            // Whatever else it may be is found again without.
            followsShapes = false;
            Forget();
            return false;
        }
        for (int o = 0; o < made.Length; o++)
            results[o] = direct[o] ?? made[o].Copy(outputs[o]);
        return true;
    }

    /// <summary>A run that lets ONNX Runtime find out, and remembers.</summary>
    private void Unknown(Span<GraphValue?> results)
    {
        session.Run(binding, options);
        // Not disposed as a collection: that would free the values that stay.
        int o = 0;
        foreach (OrtValue value in binding.GetOutputValues())
        {
            GraphValue result = results[o] = GraphValue.TakeOrt(value, outputs[o]);
            (ReadOnlyMemory<float> floats, ReadOnlyMemory<byte> bytes, DataType type, int[]? shape) = Of(result);
            if (shape is null || floats.Length + bytes.Length == 0)
                followsShapes = false;
            else if (followsShapes)
            {
                made[o] = IsCopied(floats, bytes) ? Place.Create(type, shape) : new Place { Type = type, Shape = shape };
                if (made[o].Value is { } room)
                    binding.BindOutput(outputs[o], room);
            }
            o++;
        }
    }

    private static bool IsCopied(ReadOnlyMemory<float> floats, ReadOnlyMemory<byte> bytes) => !bytes.IsEmpty || floats.Length is > 0 and <= MostCopied / sizeof(float);

    /// <summary>A value's room, or what is known of one that is used where it lies.</summary>
    private struct Place
    {
        public OrtValue? Value;
        public DataType Type;
        public int[]? Shape;
        private nint address;
        private int size;

        public readonly unsafe Span<byte> Bytes => new((void*)address, size);

        public readonly bool Has(DataType type, int[] shape) => Type == type && Shape is not null && Shape.AsSpan().SequenceEqual(shape);

        public static unsafe Place Create(DataType type, int[] shape)
        {
            OrtValue value = OrtValue.CreateAllocatedTensorValue(OrtAllocator.DefaultInstance, (TensorElementType)(int)type, Array.ConvertAll(shape, d => (long)d));
            // Native memory: it stays where it is.
            Span<byte> room = value.GetTensorMutableRawData();
            fixed (byte* start = room)
                return new Place { Value = value, Type = type, Shape = shape, address = (nint)start, size = room.Length };
        }

        /// <summary>A copy of an output.</summary>
        public readonly GraphValue Copy(string name)
        {
            if (Type == DataType.Float)
            {
                Tensor real = new(Shape!, ActivationPool.AllocateFloats(size / sizeof(float))) { Name = name };
                Bytes.CopyTo(MemoryMarshal.AsBytes(real.Span));
                return new GraphValue(real);
            }
            IntegerTensor integers = IntegerTensor.Allocate(Type, Shape!);
            Bytes.CopyTo(integers.Memory.Span);
            return new GraphValue(integers);
        }

        public void Free()
        {
            Value?.Dispose();
            Value = null;
        }
    }
}
