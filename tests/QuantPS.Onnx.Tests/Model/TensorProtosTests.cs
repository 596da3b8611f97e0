using Google.Protobuf;
using QuantPS.Engine.Errors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Model;

public class TensorProtosTests
{
    [Fact]
    public void RawAndTypedFieldsGiveTheSame()
    {
        AssertValues([1.5f, -2f], Typed(DataType.Float, t => t.FloatData.AddRange([1.5f, -2f])), Raw(DataType.Float, [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]));
        AssertValues([1.5f, -2f], Typed(DataType.Double, t => t.DoubleData.AddRange([1.5, -2])), Raw(DataType.Double, [.. BitConverter.GetBytes(1.5), .. BitConverter.GetBytes(-2.0)]));
        AssertValues([1.5f, -2f], Typed(DataType.Float16, t => t.Int32Data.AddRange([0x3e00, 0xc000])), Raw(DataType.Float16, [0, 0x3e, 0, 0xc0]));
        AssertValues([1.5f, -2f], Typed(DataType.Bfloat16, t => t.Int32Data.AddRange([0x3fc0, 0xc000])), Raw(DataType.Bfloat16, [0xc0, 0x3f, 0, 0xc0]));
        AssertValues([3f, -2f], Typed(DataType.Int8, t => t.Int32Data.AddRange([3, -2])), Raw(DataType.Int8, [3, 0xfe]));
        AssertValues([3f, 254f], Typed(DataType.Uint8, t => t.Int32Data.AddRange([3, 254])), Raw(DataType.Uint8, [3, 0xfe]));
        AssertValues([3f, -2f], Typed(DataType.Int32, t => t.Int32Data.AddRange([3, -2])), Raw(DataType.Int32, [3, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]));
        AssertValues([3f, -2f], Typed(DataType.Int64, t => t.Int64Data.AddRange([3, -2])), Raw(DataType.Int64, [3, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));

        static void AssertValues(float[] expected, params TensorProto[] tensors) => Assert.All(tensors, t => Assert.Equal(expected, t.ToFloats()));
    }

    [Fact]
    public void WrongLengthNamesTheTensor()
    {
        QuantException e = Assert.Throws<QuantException>(() => Raw(DataType.Float, [0, 0, 0]).ToFloats());
        Assert.Equal(ErrorIds.InvalidModel, e.ErrorId);
        Assert.Contains("'t'", e.Message);
    }

    [Fact]
    public void DataOutsideTheFileIsSaid()
    {
        TensorProto t = Typed(DataType.Float, t => t.DataLocation = TensorProto.Types.DataLocation.External);
        t.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = "weights.bin" });
        Assert.Contains("weights.bin", Assert.Throws<QuantException>(() => t.ToFloats()).Message);
    }

    private static TensorProto Raw(DataType type, byte[] raw)
    {
        TensorProto t = new() { Name = "t", DataType = (int)type, RawData = ByteString.CopyFrom(raw) };
        t.Dims.Add(2);
        return t;
    }

    private static TensorProto Typed(DataType type, Action<TensorProto> fill)
    {
        TensorProto t = new() { Name = "t", DataType = (int)type };
        t.Dims.Add(2);
        fill(t);
        return t;
    }
}
