using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Runtime;

/// <summary>The steps of a plan in their order. Every value has a slot, known beforehand, and is dropped as soon as nothing needs it.</summary>
internal sealed class StepSequence : IDisposable
{
    private readonly Instruction[] instructions;
    private readonly CancellationToken cancellation;
    private readonly int mostValues;
    private readonly Dictionary<string, int> slots = new(StringComparer.Ordinal);

    /// <param name="steps">The steps; disposed with the sequence.</param>
    /// <param name="inputs">Values that are there from the start.</param>
    /// <param name="outputs">Values to keep to the end.</param>
    /// <param name="cancellation">Asked before every step.</param>
    public StepSequence(IReadOnlyList<PlanStep> steps, IEnumerable<string> inputs, IEnumerable<string> outputs, CancellationToken cancellation)
    {
        this.cancellation = cancellation;
        foreach (string value in inputs.Concat(steps.SelectMany(s => s.Inputs.Concat(s.Outputs))).Concat(outputs))
            slots.TryAdd(value, slots.Count);
        Dictionary<string, int> lastUse = new(StringComparer.Ordinal);
        for (int i = 0; i < steps.Count; i++)
        {
            foreach (string value in steps[i].Inputs.Concat(steps[i].Outputs))
                lastUse[value] = i;
        }
        foreach (string output in outputs)
            lastUse[output] = int.MaxValue;
        instructions = [.. steps.Select((step, i) => new Instruction(step, Slots(step.Inputs), Slots(step.Outputs),
            Slots(step.Inputs.Concat(step.Outputs).Distinct().Where(v => lastUse[v] == i))))];
        mostValues = instructions.Length == 0 ? 0 : instructions.Max(i => i.Inputs.Length + i.Outputs.Length);

        int[] Slots(IEnumerable<string> values) => [.. values.Select(v => slots[v])];
    }

    public IEnumerable<PlanStep> Steps => instructions.Select(i => i.Step);

    public int FloatIslandCount => Steps.Count(s => s is FloatIsland or DequantizedStep);

    /// <summary>Makes room for one run.</summary>
    /// <param name="given">The inputs; they are disposed with the result.</param>
    public Values Begin(IEnumerable<KeyValuePair<string, GraphValue>> given) => new(this, given);

    public void Dispose()
    {
        foreach (PlanStep step in Steps)
            step.Dispose();
    }

    /// <param name="Step">What to do.</param>
    /// <param name="Inputs">Where its inputs are.</param>
    /// <param name="Outputs">Where its outputs go.</param>
    /// <param name="Drops">What nothing needs afterwards.</param>
    private readonly record struct Instruction(PlanStep Step, int[] Inputs, int[] Outputs, int[] Drops);

    /// <summary>The values of one run.</summary>
    public sealed class Values : IDisposable
    {
        private readonly StepSequence sequence;
        private readonly GraphValue?[] values;

        // A reshaped value is the same memory under another name: the slot that had it first, and how many have it now.
        private readonly int[] owner, holders;

        internal Values(StepSequence sequence, IEnumerable<KeyValuePair<string, GraphValue>> given)
        {
            this.sequence = sequence;
            int count = sequence.slots.Count;
            values = new GraphValue?[count];
            owner = new int[count];
            holders = new int[count];
            foreach ((string name, GraphValue value) in given)
            {
                // What no step takes still has to be disposed.
                int slot = sequence.slots.TryGetValue(name, out int known) ? known : -1;
                if (slot < 0)
                    value.Dispose();
                else
                    Put(slot, value, [], []);
            }
        }

        /// <summary>A value that is there; null otherwise.</summary>
        public GraphValue? Find(string name) => sequence.slots.TryGetValue(name, out int slot) ? values[slot] : null;

        /// <summary>Runs the steps; afterwards the outputs are there.</summary>
        /// <param name="made">Called for every value that a step made.</param>
        /// <param name="pool">Gets the memory of values that nothing needs any more; null where somebody may still hold them.</param>
        public void Run(Action<string, GraphValue>? made = null, ActivationPool? pool = null)
        {
            Span<GraphValue?> room = new GraphValue?[sequence.mostValues];
            foreach (Instruction instruction in sequence.instructions)
            {
                sequence.cancellation.ThrowIfCancellationRequested();
                Span<GraphValue?> inputs = room[..instruction.Inputs.Length], outputs = room.Slice(inputs.Length, instruction.Outputs.Length);
                for (int i = 0; i < inputs.Length; i++)
                    inputs[i] = values[instruction.Inputs[i]];
                outputs.Clear();
                try
                {
                    instruction.Step.Run(inputs!, outputs, pool is null ? 0 : Spent(instruction));
                }
                finally
                {
                    for (int o = 0; o < outputs.Length; o++)
                    {
                        if (outputs[o] is { } value)
                            Put(instruction.Outputs[o], value, instruction.Step.MakesNew ? [] : instruction.Inputs, instruction.Step.MakesNew ? [] : instruction.Outputs.AsSpan(0, o));
                    }
                }
                for (int o = 0; made is not null && o < outputs.Length; o++)
                    made(instruction.Step.Outputs[o], outputs[o]!);
                foreach (int slot in instruction.Drops)
                    Drop(slot, pool);
            }
        }

        public void Dispose()
        {
            foreach (GraphValue? value in values)
                value?.Dispose();
        }

        /// <summary>The inputs that are dropped right behind the step, and whose memory has no other name.</summary>
        private uint Spent(in Instruction instruction)
        {
            uint spent = 0;
            for (int i = 0; i < Math.Min(instruction.Inputs.Length, 32); i++)
            {
                int slot = instruction.Inputs[i];
                if (instruction.Drops.AsSpan().Contains(slot) && holders[owner[slot]] == 1)
                    spent |= 1u << i;
            }
            return spent;
        }

        /// <param name="slot">Where it goes.</param>
        /// <param name="value">A step's result, or what was given.</param>
        /// <param name="from">The step's inputs, whose memory it may have.</param>
        /// <param name="beside">Other results of the step, whose memory it may have as well.</param>
        private void Put(int slot, GraphValue value, ReadOnlySpan<int> from, ReadOnlySpan<int> beside)
        {
            values[slot] = value;
            owner[slot] = slot;
            Share(slot, value, from);
            Share(slot, value, beside);
            holders[owner[slot]] = owner[slot] == slot ? 1 : holders[owner[slot]] + 1;
        }

        private void Share(int slot, GraphValue value, ReadOnlySpan<int> others)
        {
            foreach (int other in others)
            {
                if (values[other] is { } source && (value.IntegersIfAny is { } a && source.IntegersIfAny is { } b && ActivationPool.AreOne(a, b)
                    || value.RealIfAny is { } c && source.RealIfAny is { } d && ActivationPool.AreOne(c, d)))
                    owner[slot] = owner[other];
            }
        }

        private void Drop(int slot, ActivationPool? pool)
        {
            if (values[slot] is not { } done)
                return;
            values[slot] = null;
            if (--holders[owner[slot]] == 0 && pool is not null)
            {
                if (done.IntegersIfAny is { } integers)
                    pool.Return(integers);
                if (done.RealIfAny is { } real)
                    pool.Return(real);
            }
            done.Dispose();
        }
    }
}
