using System.Runtime.CompilerServices;
using Iced.Intel;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>A function assembled at run time, void f(call*): made once per spec, shared while anybody holds it, freed afterwards.</summary>
internal sealed unsafe class MachineCode
{
    private static readonly Dictionary<object, WeakReference<MachineCode>> Cache = [];

    private readonly ExecutableMemory memory;
    private readonly delegate* unmanaged<void*, void> entry;

    private MachineCode(byte[] code)
    {
        memory = new ExecutableMemory(code);
        entry = (delegate* unmanaged<void*, void>)memory.Address;
    }

    /// <summary>The code for a spec.</summary>
    /// <param name="spec">All that the code depends on; compares by value.</param>
    /// <param name="emit">Writes the function, without the frame that <see cref="FunctionFrame"/> puts around it.</param>
    public static MachineCode For<TSpec>(TSpec spec, Action<Assembler, TSpec> emit) where TSpec : class
    {
        lock (Cache)
        {
            if (Cache.TryGetValue(spec, out WeakReference<MachineCode>? known) && known.TryGetTarget(out MachineCode? code))
                return code;
            foreach ((object dead, WeakReference<MachineCode> reference) in Cache.ToArray())
                if (!reference.TryGetTarget(out _))
                    Cache.Remove(dead);
            code = new MachineCode(Assemble(spec, emit, OperatingSystem.IsWindows()));
            Cache[spec] = new(code);
            return code;
        }
    }

    /// <param name="call">What the function is called with.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(void* call)
    {
        entry(call);
        GC.KeepAlive(memory);
    }

    /// <summary>The bytes of a function, frame included.</summary>
    internal static byte[] Assemble<TSpec>(TSpec spec, Action<Assembler, TSpec> emit, bool windows)
    {
        Assembler c = new(64);
        FunctionFrame frame = new(c, windows);
        frame.Open();
        emit(c, spec);
        frame.Close();
        using MemoryStream stream = new();
        c.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }
}
