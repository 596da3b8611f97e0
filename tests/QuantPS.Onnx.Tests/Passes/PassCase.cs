using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;

namespace QuantPS.Onnx.Tests.Passes;

/// <summary>A pass on a small graph: which operators it leaves, and that the model computes the same before and after.</summary>
internal static class PassCase
{
    /// <summary>Applies one pass, or all, and compares on random inputs.</summary>
    /// <param name="model">Input "x"; its outputs are compared.</param>
    /// <param name="pass">Null for all passes.</param>
    /// <param name="shape">Of the input.</param>
    /// <param name="tolerance">Relative to the largest value.</param>
    public static OnnxModel Check(OnnxModel model, GraphPass? pass, int[] shape, float tolerance = 2e-6f)
    {
        byte[] original = model.ToBytes();
        OnnxModel prepared = PassRegistry.Apply(model, pass is null ? null : [pass]);
        Assert.Equal(original, model.ToBytes());
        using OnnxRuntimeSession before = new(model, settings: new SessionSettings { Optimize = false }),
            after = new(prepared, settings: new SessionSettings { Optimize = false });
        Tensor x = TestModels.Random(99, shape);
        foreach (ref float v in x.Span)
            v *= 4;
        foreach ((string name, Tensor expected) in before.Run(x))
        {
            Tensor actual = after.Run(x)[name];
            Assert.Equal(expected.Shape, actual.Shape);
            float largest = expected.ToArray().Max(Math.Abs);
            Assert.True(largest > 1e-3f, "the comparison must see something");
            Assert.All(expected.ToArray().Zip(actual.ToArray()), v => Assert.Equal(v.First, v.Second, largest * tolerance));
        }
        return prepared;
    }

    public static string[] Operators(OnnxModel model) => [.. model.Graph.Nodes.Where(n => n.OpType != "Constant").Select(n => n.OpType)];

    /// <summary>"Add x c3 -> a" is a node; names that begin with c and a number are constants of that value.</summary>
    /// <remarks>Attributes follow in braces: Clip a -> b {min=0 max=6}, integers or lists of them without a point, floats with one.</remarks>
    public static OnnxModel Model(string nodes, int[] shape, int opset = 17, string[]? outputs = null, TensorProto[]? constants = null, int ir = 8)
    {
        List<NodeProto> made = [];
        Dictionary<string, TensorProto> known = (constants ?? []).ToDictionary(c => c.Name);
        foreach (string line in nodes.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] braces = line.Split('{', '}'), sides = braces[0].Split("->", StringSplitOptions.TrimEntries);
            string[] words = sides[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            NodeProto node = Nodes.Create(words[0], $"n{made.Count}", words[1..].Select(w => w == "_" ? "" : w), sides[1].Split(' '));
            foreach (string pair in braces.Length > 1 ? braces[1].Split(' ', StringSplitOptions.RemoveEmptyEntries) : [])
            {
                string[] parts = pair.Split('=');
                node.Attribute.Add(parts[1].StartsWith('[') ? Nodes.Attribute(parts[0], parts[1].Trim('[', ']').Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse))
                    : char.IsLetter(parts[1][0]) ? Nodes.Attribute(parts[0], parts[1])
                    : parts[1].Contains('.') ? Nodes.Attribute(parts[0], float.Parse(parts[1])) : Nodes.Attribute(parts[0], long.Parse(parts[1])));
            }
            foreach (string word in words[1..].Where(w => w[0] == 'c' && w.Length > 1 && (char.IsDigit(w[1]) || w[1] == '-')))
                known.TryAdd(word, TensorProtos.Create(word, [float.Parse(word[1..])], []));
            made.Add(node);
        }
        return TestModels.Graph([.. shape.Select((d, i) => i == 0 ? "N" : (object)d)], made, known.Values, outputs ?? ["y"], opset, ir);
    }
}
