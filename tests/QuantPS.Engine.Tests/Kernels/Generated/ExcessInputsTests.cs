using QuantPS.Engine.Kernels.Generated;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>What <see cref="ExcessInputs"/> takes from inputs and what its terms give back make up the inputs, for each pixel that sees them.</summary>
public class ExcessInputsTests
{
    /// <summary>Bytes: none, fewer than a vector, its neighbours, several; and how many of them are above 127.</summary>
    public static TheoryData<int, int> Cases => new() { { 0, 0 }, { 31, 0 }, { 700, 0 }, { 700, 1 }, { 700, 2 }, { 4096, 16 }, { 4100, 13 }, { 100_000, 390 } };

    [Theory, MemberData(nameof(Cases))]
    public unsafe void Limited_inputs_and_terms_make_up_the_inputs(int length, int above)
    {
        var random = new Random(length + above);
        byte[] inputs = [.. Enumerable.Range(0, length).Select(_ => (byte)random.Next(128))], limited = new byte[length];
        foreach (int place in Enumerable.Range(0, length).OrderBy(_ => random.Next()).Take(above))
            inputs[place] = (byte)random.Next(128, 256);
        ExcessInputs excess = ExcessInputs.OfThread;
        fixed (byte* from = inputs, to = limited)
        {
            Assert.True(excess.Find(from, length, 256));
            ExcessInputs.Limit(from, to, length);
        }
        Assert.Equal(above > 0, excess.Any);
        Assert.All(limited, b => Assert.InRange(b, 0, ExcessInputs.MostInput));

        // Tiles of two pixels, whose windows of two runs of 12 bytes overlap.
        const int step = 5, runBytes = 12, secondRun = 40;
        int[] pixels = [0, step], runs = [0, secondRun];
        int tiles = Math.Max(0, (length - secondRun - runBytes - step) / (2 * step));
        for (int tile = 0; tile < tiles; tile++)
        {
            if (tile % 10 == 0)
                excess.AddBand();
            excess.AddTile(tile * 2 * step, pixels, runs, runBytes);
        }
        excess.Finish();
        for (int tile = 0; tile < tiles; tile++)
        {
            int band = tile / 10;
            int* starts = excess.TableOf(band)[tile % 10];
            (int first, int end) = excess.TilesWithTerms(band);
            int[] withTerms = [.. Enumerable.Range(first, end - first).Where(t => excess.StartsOf(t - first) == starts)];
            Assert.Equal(starts is null ? 0 : 1, withTerms.Length);
            int[,,] seen = new int[2, 2, runBytes];
            if (starts is not null)
                foreach (ExcessInputs.Term term in excess.TermsOf(withTerms[0]))
                    seen[term.Pixel, term.Run, term.Place] += term.Excess;
            for (int p = 0; p < 2; p++)
                for (int run = 0; run < 2; run++)
                    for (int i = 0; i < runBytes; i++)
                    {
                        int at = tile * 2 * step + pixels[p] + runs[run] + i;
                        Assert.Equal(inputs[at], limited[at] + seen[p, run, i]);
                    }
        }
    }

    [Fact]
    public unsafe void Too_many_are_refused()
    {
        byte[] inputs = new byte[1024];
        inputs[0] = inputs[300] = inputs[700] = inputs[1000] = 200;
        fixed (byte* from = inputs)
        {
            Assert.True(ExcessInputs.OfThread.Find(from, inputs.Length, 256));
            inputs[1023] = 128;
            Assert.False(ExcessInputs.OfThread.Find(from, inputs.Length, 256));
        }
    }
}
