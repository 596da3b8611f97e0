using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Packed memory of all sizes, on large pages that several share and by itself.</summary>
public unsafe class PackedMemoryTests
{
    [Fact]
    public void Parts_are_aligned_zero_and_apart()
    {
        var random = new Random(5);
        List<PackedMemory> held = [];
        for (int i = 0; i < 300; i++)
        {
            // Less than a part of a chunk, parts, and more than a chunk.
            long size = random.Next(3) switch { 0 => random.Next(1, 4096), 1 => random.Next(PackedChunk.LeastPart, 600_000), _ => random.Next(1_000_000, 5_000_000) };
            var memory = new PackedMemory(size);
            var bytes = new Span<byte>(memory.Address, (int)size);
            Assert.Equal(0, (nint)memory.Address % PackedMemory.Alignment);
            Assert.Equal(-1, bytes.IndexOfAnyExcept((byte)0));
            bytes.Fill((byte)(held.Count % 255 + 1));
            held.Add(memory);
            if (held.Count < 12)
                continue;
            // Nobody has written into anybody else's.
            for (int k = 0; k < held.Count; k++)
                Assert.Equal(-1, new Span<byte>(held[k].Address, (int)held[k].Bytes).IndexOfAnyExcept((byte)(k % 255 + 1)));
            // Any order, twice.
            foreach (PackedMemory gone in held.OrderBy(_ => random.Next()))
            {
                gone.Dispose();
                gone.Dispose();
            }
            held.Clear();
        }
        held.ForEach(m => m.Dispose());
    }
}
