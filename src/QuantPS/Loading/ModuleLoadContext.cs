using System.Reflection;
using System.Runtime.Loader;

namespace QuantPS.Loading;

/// <summary>Where QuantPS.Onnx, QuantPS.Data and every third-party package live, so that their versions never meet those of another module.</summary>
/// <remarks>What PowerShell sees (QuantPS, QuantPS.Engine and the framework) stays shared with the default context: a type that crosses the
/// border must be one type. Everything else, managed or native, is found by the deps.json files of the dependencies folder.</remarks>
internal sealed class ModuleLoadContext : AssemblyLoadContext
{
    private readonly string folder;
    private readonly AssemblyDependencyResolver[] resolvers;

    /// <param name="folder">module/bin/dependencies.</param>
    /// <param name="components">The assemblies whose deps.json files are followed; one that is not there is passed over.</param>
    public ModuleLoadContext(string folder, params IEnumerable<string> components)
        : base("QuantPS")
    {
        this.folder = folder;
        resolvers = [.. components.Select(c => Path.Combine(folder, c + ".dll")).Where(File.Exists).Select(p => new AssemblyDependencyResolver(p))];
    }

    /// <inheritdoc/>
    protected override Assembly? Load(AssemblyName name)
    {
        if (ModuleLoader.IsShared(name.Name))
            return null;
        foreach (AssemblyDependencyResolver resolver in resolvers)
            if (resolver.ResolveAssemblyToPath(name) is string path)
                return LoadFromAssemblyPath(path);
        string beside = Path.Combine(folder, name.Name + ".dll");
        return File.Exists(beside) ? LoadFromAssemblyPath(beside) : null;
    }

    /// <inheritdoc/>
    protected override nint LoadUnmanagedDll(string name)
    {
        foreach (AssemblyDependencyResolver resolver in resolvers)
            if (resolver.ResolveUnmanagedDllToPath(name) is string path)
                return LoadUnmanagedDllFromPath(path);
        return 0;
    }
}
