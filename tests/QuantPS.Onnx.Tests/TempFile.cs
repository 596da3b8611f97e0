namespace QuantPS.Onnx.Tests;

/// <summary>A path in a folder of its own, deleted with it.</summary>
internal sealed class TempFile : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("quantps");

    public TempFile(string name = "model.onnx") => Path = System.IO.Path.Combine(folder.FullName, name);

    public string Path { get; }

    public string Folder => folder.FullName;

    public void Dispose() => folder.Delete(recursive: true);
}
