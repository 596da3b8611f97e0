using System.Management.Automation;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace QuantPS.Loading;

/// <summary>Sends what QuantPS.dll and QuantPS.Engine.dll ask for, and the default context does not have, to the module's own load context.</summary>
/// <remarks>Hooked to AppDomain.AssemblyResolve rather than to the context's Resolving event, because only the former tells who asks: another
/// module that misses an assembly must never get ours.</remarks>
public sealed class ModuleLoader : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    private static readonly Lock Gate = new();
    private static readonly Assembly Self = typeof(ModuleLoader).Assembly;
    private static readonly string EngineName = typeof(Engine.Tensors.Tensor).Assembly.GetName().Name!;
    private static readonly Lazy<ModuleLoadContext> Context = new(() =>
        new ModuleLoadContext(Path.Combine(Path.GetDirectoryName(Self.Location)!, "dependencies"), "QuantPS.Onnx", "QuantPS.Data"));

    private static bool hooked;
    private static int imports;

    /// <summary>True for the assemblies that the module shares with PowerShell.</summary>
    internal static bool IsShared(string? name) => name is "QuantPS" or "QuantPS.Engine";

    /// <summary>Called by PowerShell for every runspace that imports the module.</summary>
    public void OnImport()
    {
        lock (Gate)
        {
            imports++;
            Hook();
        }
    }

    /// <summary>Called by Remove-Module; the last one takes the hook away.</summary>
    public void OnRemove(PSModuleInfo psModuleInfo)
    {
        lock (Gate)
        {
            if (--imports > 0)
                return;
            imports = 0;
            AppDomain.CurrentDomain.AssemblyResolve -= Resolve;
            hooked = false;
        }
    }

    /// <summary>For whoever uses the assembly without importing the module, and for code that runs before OnImport.</summary>
#pragma warning disable CA2255 // A library is exactly where this is wanted: the hook has to be there before the first type is touched.
    [ModuleInitializer]
    internal static void Initialize()
    {
        lock (Gate)
            Hook();
    }
#pragma warning restore CA2255

    private static void Hook()
    {
        if (hooked)
            return;
        AppDomain.CurrentDomain.AssemblyResolve += Resolve;
        hooked = true;
    }

    private static Assembly? Resolve(object? sender, ResolveEventArgs e)
    {
        if (e.RequestingAssembly is not Assembly asker || (asker != Self && asker.GetName().Name != EngineName))
            return null;
        AssemblyName name = new(e.Name);
        if (IsShared(name.Name))
            return null;
        try
        {
            return Context.Value.LoadFromAssemblyName(name);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }
}
