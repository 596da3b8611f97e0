using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Google.Protobuf;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Execution.Native;

/// <summary>The operator Observe: shows its inputs, any number of float tensors, to a watcher, and has no output. A session that has it in its graph lets
/// values be looked at while they are in the cache, and keeps none of them for that.</summary>
/// <remarks>An exception of the watcher ends the run and is kept in <see cref="Failure"/>: none may leave through native frames. Must outlive the
/// session. Source: onnxruntime_c_api.h, OrtCustomOp.</remarks>
internal sealed unsafe class ObserveOperator : IDisposable
{
    private const string Domain = "quantps.calibration", Name = "Observe", First = "first";

    private const int Float = 1, Variadic = 2, Optional = 1;

    /// <summary>Elements of a node's values from which on it is worth waking a thread for some of them.</summary>
    private const int LeastShared = 32768;

    private static readonly nint NativeName = Marshal.StringToCoTaskMemUTF8(Name), NativeDomain = Marshal.StringToCoTaskMemUTF8(Domain),
        NativeFirst = Marshal.StringToCoTaskMemUTF8(First);

    private readonly ValueWatcher watcher;
    private readonly RunThreads threads;
    private readonly GCHandle self;
    private OrtCustomOperator* native;
    private nint domain;
    // Of the node that runs: its values, and which is the first.
    private readonly Action<int> show;
    private Value[] values = [];
    private int first;

    /// <param name="watcher">Whom to show the values to.</param>
    /// <param name="count">Threads of the session.</param>
    public ObserveOperator(ValueWatcher watcher, int count)
    {
        this.watcher = watcher;
        threads = new RunThreads(count);
        show = i => Show(i, null);
        self = GCHandle.Alloc(this);
        native = (OrtCustomOperator*)NativeMemory.AllocZeroed((nuint)sizeof(OrtCustomOperator));
        native->Version = OrtFunctions.Version;
        native->GetName = (nint)(delegate* unmanaged<nint, nint>)&GetName;
        native->GetExecutionProviderType = (nint)(delegate* unmanaged<nint, nint>)&Zero;
        native->GetInputType = native->GetOutputType = (nint)(delegate* unmanaged<nint, nuint, int>)&TypeOf;
        native->GetInputTypeCount = native->GetOutputTypeCount = (nint)(delegate* unmanaged<nint, nint>)&One;
        native->KernelDestroy = (nint)(delegate* unmanaged<nint, void>)&DestroyKernel;
        native->GetInputCharacteristic = (nint)(delegate* unmanaged<nint, nuint, int>)&InputCharacteristic;
        native->GetOutputCharacteristic = (nint)(delegate* unmanaged<nint, nuint, int>)&OutputCharacteristic;
        native->GetInputMemoryType = (nint)(delegate* unmanaged<nint, nuint, int>)&DefaultMemory;
        native->GetVariadicInputMinArity = native->GetVariadicInputHomogeneity = (nint)(delegate* unmanaged<nint, int>)&OneInt;
        native->GetVariadicOutputMinArity = native->GetVariadicOutputHomogeneity = (nint)(delegate* unmanaged<nint, int>)&OneInt;
        native->CreateKernelV2 = (nint)(delegate* unmanaged<nint, nint, nint, Kernel**, nint>)&CreateKernel;
        native->KernelComputeV2 = (nint)(delegate* unmanaged<Kernel*, nint, nint>)&Compute;
        native->GetStartVersion = native->GetEndVersion = (nint)(delegate* unmanaged<nint, int>)&OneInt;
        native->Owner = GCHandle.ToIntPtr(self);
        try
        {
            nint made;
            OrtFunctions.Check(((delegate* unmanaged<nint, nint*, nint>)OrtFunctions.Api->CreateCustomOpDomain)(NativeDomain, &made));
            domain = made;
            OrtFunctions.Check(((delegate* unmanaged<nint, nint, nint>)OrtFunctions.Api->CustomOpDomain_Add)(domain, (nint)native));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What the watcher threw in the run that failed last; null when it was not the watcher.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Makes the operator known to a session that is to be.</summary>
    public void AddTo(SessionOptions options) => OrtFunctions.With(options,
        handle => ((delegate* unmanaged<nint, nint, nint>)OrtFunctions.Api->AddCustomOpDomain)(handle, domain));

    public void ForgetFailure() => Failure = null;

    /// <summary>Adds a node that shows values to the watcher, whose indices are consecutive: in this order, or several at a time on the session's threads.</summary>
    public static NodeProto CreateNode(int first, IEnumerable<string> values)
    {
        NodeProto node = new() { OpType = Name, Domain = Domain, Name = $"{Domain}.{first}" };
        node.Input.AddRange(values);
        node.Output.Add("");
        node.Attribute.Add(new AttributeProto { Name = First, Type = AttributeProto.Types.AttributeType.Int, I = first });
        return node;
    }

    /// <summary>Declares the operator's domain in a model.</summary>
    public static void Declare(ModelProto model) => model.OpsetImport.Add(new OperatorSetIdProto { Domain = Domain, Version = 1 });

    public void Dispose()
    {
        if (domain != 0)
            ((delegate* unmanaged<nint, void>)OrtFunctions.Api->ReleaseCustomOpDomain)(domain);
        NativeMemory.Free(native);
        domain = 0;
        native = null;
        if (self.IsAllocated)
            self.Free();
        threads.Dispose();
    }

    private struct Kernel
    {
        public nint Owner;
        public int First, Count;
    }

    [UnmanagedCallersOnly]
    private static nint GetName(nint op) => NativeName;

    [UnmanagedCallersOnly]
    private static nint Zero(nint op) => 0;

    [UnmanagedCallersOnly]
    private static nint One(nint op) => 1;

    [UnmanagedCallersOnly]
    private static int OneInt(nint op) => 1;

    [UnmanagedCallersOnly]
    private static int TypeOf(nint op, nuint index) => Float;

    [UnmanagedCallersOnly]
    private static int DefaultMemory(nint op, nuint index) => 0;

    [UnmanagedCallersOnly]
    private static int InputCharacteristic(nint op, nuint index) => Variadic;

    [UnmanagedCallersOnly]
    private static int OutputCharacteristic(nint op, nuint index) => Optional;

    [UnmanagedCallersOnly]
    private static nint CreateKernel(nint op, nint api, nint info, Kernel** kernel)
    {
        long first;
        nint status = ((delegate* unmanaged<nint, nint, long*, nint>)OrtFunctions.Api->KernelInfoGetAttribute_int64)(info, NativeFirst, &first);
        if (status != 0)
            return status;
        nuint count;
        status = ((delegate* unmanaged<nint, nuint*, nint>)OrtFunctions.Api->KernelInfo_GetInputCount)(info, &count);
        if (status != 0)
            return status;
        *kernel = (Kernel*)NativeMemory.Alloc((nuint)sizeof(Kernel));
        **kernel = new Kernel { Owner = ((OrtCustomOperator*)op)->Owner, First = (int)first, Count = (int)count };
        return 0;
    }

    [UnmanagedCallersOnly]
    private static void DestroyKernel(nint kernel) => NativeMemory.Free((void*)kernel);

    [UnmanagedCallersOnly]
    private static nint Compute(Kernel* kernel, nint context)
    {
        ObserveOperator owner = (ObserveOperator)GCHandle.FromIntPtr(kernel->Owner).Target!;
        try
        {
            owner.threads.Context = context;
            owner.Look(kernel->First, kernel->Count, context);
            return 0;
        }
        catch (Exception e)
        {
            owner.Failure = e;
            return OrtFunctions.Error(e.Message);
        }
    }

    private void Look(int first, int count, nint context)
    {
        this.first = first;
        if (values.Length < count)
            Array.Resize(ref values, count);
        long all = 0;
        for (int i = 0; i < count; i++)
            all += (values[i] = Input(context, i, values[i].Shape ?? [])).Length;
        if (count > 1 && threads.Threads > 1 && all >= LeastShared)
        {
            threads.Run(count, show);
            return;
        }
        for (int i = 0; i < count; i++)
            Show(i, threads);
    }

    private void Show(int i, IWorkSharing? threads) =>
        watcher(first + i, new ReadOnlySpan<float>((void*)values[i].Data, values[i].Length), values[i].Shape.AsSpan(0, values[i].Rank), threads);

    /// <summary>An input of a node; its shape goes to an array that is long enough.</summary>
    private static Value Input(nint context, int index, int[] shape)
    {
        nint value, data, sizes;
        nuint rank;
        int type, length = 1;
        OrtFunctions.Check(((delegate* unmanaged[SuppressGCTransition]<nint, nuint, nint*, nint>)OrtFunctions.Api->KernelContext_GetInput)(context, (nuint)index, &value));
        OrtFunctions.Check(((delegate* unmanaged[SuppressGCTransition]<nint, int*, nint*, nuint*, nint>)OrtFunctions.Api->GetTensorElementTypeAndShapeDataReference)(value, &type, &sizes, &rank));
        OrtFunctions.Check(((delegate* unmanaged[SuppressGCTransition]<nint, nint*, nint>)OrtFunctions.Api->GetTensorMutableData)(value, &data));
        if (shape.Length < (int)rank)
            shape = new int[(int)rank];
        for (int d = 0; d < (int)rank; d++)
            length = checked(length * (shape[d] = checked((int)((long*)sizes)[d])));
        return new Value(data, length, shape, (int)rank);
    }

    /// <summary>A tensor of ONNX Runtime's, while a node runs.</summary>
    private readonly record struct Value(nint Data, int Length, int[] Shape, int Rank);
}
