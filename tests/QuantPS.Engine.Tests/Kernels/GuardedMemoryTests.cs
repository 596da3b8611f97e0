using System.Diagnostics;
using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>The guards really guard: this assembly runs once more as another process, which strays and has to die of it.</summary>
public class GuardedMemoryTests
{
    private const string ProbeVariable = "QUANTPS_GUARD_PROBE", Survived = "The probe survived.";
    private const int Length = 1000;

    [Theory]
    [InlineData("inside", true)]
    [InlineData("read behind", false)]
    [InlineData("write behind", false)]
    [InlineData("read before", false)]
    [InlineData("write before", false)]
    [InlineData("read behind packed memory", false)]
    [InlineData("write to read-only", false)]
    public async Task A_stray_access_ends_the_process(string probe, bool survives)
    {
        if (Environment.GetEnvironmentVariable(ProbeVariable) is { } wanted)
        {
            if (wanted == probe)
            {
                Probe(probe);
                Console.WriteLine(Survived);
            }
            return;
        }
        string assembly = typeof(GuardedMemoryTests).Assembly.Location;
        var start = new ProcessStartInfo(Path.ChangeExtension(assembly, OperatingSystem.IsWindows() ? ".exe" : null))
        {
            ArgumentList = { "-method", $"{typeof(GuardedMemoryTests).FullName}.{nameof(A_stray_access_ends_the_process)}" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { [ProbeVariable] = probe, ["DOTNET_DbgEnableMiniDump"] = "0" },
        };
        using Process child = Process.Start(start)!;
        Task<string> errors = child.StandardError.ReadToEndAsync();
        string output = await child.StandardOutput.ReadToEndAsync();
        await child.WaitForExitAsync();
        Assert.Equal(survives, output.Contains(Survived, StringComparison.Ordinal));
        Assert.Equal(survives, child.ExitCode == 0);
        Assert.Equal(survives, !(await errors).Contains("AccessViolationException", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(GuardSide.Behind)]
    [InlineData(GuardSide.Before)]
    public unsafe void Writing_into_the_rest_of_the_pages_is_seen(GuardSide side)
    {
        using var memory = new GuardedMemory(Length, side);
        Assert.True(memory.Intact);
        memory.GetSpan().Fill(1);
        Assert.True(memory.Intact);
        ((byte*)memory.Address)[side == GuardSide.Behind ? -1 : Length] = 0;
        Assert.False(memory.Intact);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(100)]
    [InlineData(4096)]
    [InlineData(5000)]
    public unsafe void Packed_memory_keeps_its_promises_between_guards(int bytes)
    {
        foreach (GuardSide side in Enum.GetValues<GuardSide>())
        {
            using var memory = new GuardedMemory(bytes, side, PackedMemory.Alignment);
            Assert.Equal(0, memory.Address % PackedMemory.Alignment);
            Assert.True(memory.GetSpan().IndexOfAnyExcept((byte)0) < 0);
        }
        using var plain = new PackedMemory(bytes);
        Assert.Equal(0, (nint)plain.Address % PackedMemory.Alignment);
        Assert.True(new ReadOnlySpan<byte>(plain.Address, bytes).IndexOfAnyExcept((byte)0) < 0);
    }

    private static unsafe void Probe(string probe)
    {
        bool before = probe.EndsWith("before", StringComparison.Ordinal);
        using var memory = new GuardedMemory(Length, before ? GuardSide.Before : GuardSide.Behind);
        byte* bytes = (byte*)memory.Address;
        switch (probe)
        {
            case "inside":
                bytes[0] = bytes[Length - 1] = 1;
                break;
            case "read behind" or "read before":
                Console.WriteLine(Volatile.Read(ref bytes[before ? -1 : Length]));
                break;
            case "write behind" or "write before":
                Volatile.Write(ref bytes[before ? -1 : Length], 1);
                break;
            case "write to read-only":
                memory.MakeReadOnly();
                Volatile.Write(ref bytes[0], 1);
                break;
            case "read behind packed memory":
                using (var guards = new PackedGuards(GuardSide.Behind))
                {
                    using PackedMemory packed = guards.During(() => new PackedMemory(128));
                    Console.WriteLine(Volatile.Read(ref packed.Address[128]));
                }
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(probe), probe, null);
        }
    }
}
