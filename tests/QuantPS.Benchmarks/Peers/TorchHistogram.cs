using System.Diagnostics;
using System.Globalization;

namespace QuantPS.Benchmarks.Peers;

/// <summary>PyTorch's HistogramObserver in a Python process that stays alive, so that its rounds can be interleaved with ours.</summary>
internal sealed class TorchHistogram : IDisposable
{
    private readonly Process process;

    private TorchHistogram(Process process, string version)
    {
        this.process = process;
        Version = version;
    }

    public string Version { get; }

    /// <summary>Null where Python or its torch is not installed.</summary>
    public static TorchHistogram? TryStart()
    {
        foreach (string python in new[] { "/usr/bin/python3", "python3" })
        {
            try
            {
                var start = new ProcessStartInfo(python, [Path.Combine(AppContext.BaseDirectory, "Peers", "torch_histogram.py")]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
                Process process = Process.Start(start)!;
                process.ErrorDataReceived += (_, _) => { };
                process.BeginErrorReadLine();
                if (process.StandardOutput.ReadLine() is string hello)
                    return new TorchHistogram(process, hello);
                process.Dispose();
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // No such program: try the next.
            }
        }
        return null;
    }

    public void Load(string npy) => Ask($"load {npy}");

    /// <summary>Seconds for all batches, as Python's own clock says.</summary>
    public double Run() => double.Parse(Ask("run"), CultureInfo.InvariantCulture);

    private string Ask(string command)
    {
        process.StandardInput.WriteLine(command);
        process.StandardInput.Flush();
        return process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("The Python process ended.");
    }

    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit(5000);
        process.Dispose();
    }
}
