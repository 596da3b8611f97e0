# One example or more a cmdlet: what to type, and what it shows. New-Help.ps1 puts them into the help file.
@{
    'Compare-QModel' = @(
        @{ Code = 'Import-Tensor ./test.npy -BatchSize 32 -First 320 | Compare-QModel -Model $q | Sort-Object SqnrDb | Select-Object -First 5'
           Text = 'The five layers whose output suffers most from quantization.' }
    )
    'ConvertFrom-Quantized' = @(
        @{ Code = 'New-QuantizedTensor -IntRepr 0,128,255 -Shape 3 -Scale 0.5 -ZeroPoint 128 | ConvertFrom-Quantized'
           Text = 'The integers 0, 128 and 255 with scale 0.5 and zero point 128 are -64, 0 and 63.5.' }
    )
    'ConvertTo-Quantized' = @(
        @{ Code = '$q = Import-Tensor ./calib/*.png -Scale 255 | Invoke-Calibration -Model $net -QConfig x86 | ConvertTo-Quantized'
           Text = 'Calibrates a model with pictures and quantizes it.' }
        @{ Code = 'New-Tensor -Shape 3 -Value -1, 0.25, 1000 | ConvertTo-Quantized -Scale 0.5 -ZeroPoint 2 -DType quint8'
           Text = 'Quantizes a tensor as torch.quantize_per_tensor does: 0, 2, 255. With -Axis it is torch.quantize_per_channel.' }
        @{ Code = '$calib | ConvertTo-Quantized -PerChannel -ExcludeNode head* -ExcludeOpType Softmax -TensorOverride @{ logits = @{ DType = "uint16" } }'
           Text = 'The same statistics with other options, in milliseconds and without data: as quantize_static with per_channel, nodes_to_exclude, op_types_to_quantize and TensorQuantOverrides.' }
        @{ Code = 'Import-QModel ./bert.onnx | ConvertTo-Quantized -Dynamic -OpType MatMul, Gather | Export-QModel ./bert-dynamic.onnx'
           Text = 'Quantizes weights only; activations are quantized while the model runs. As quantize_dynamic: no calibration.' }
    )
    'Export-Calibration' = @(
        @{ Code = '$calib | Export-Calibration ./resnet8.calib.json.gz'
           Text = 'Keeps what was observed, compressed. Import-Calibration takes it up again without loss.' }
        @{ Code = '$calib | Export-Calibration ./resnet8.encodings -Format Aimet -FormatVersion 1.0.0'
           Text = 'Writes scales and offsets in the form of AIMET.' }
    )
    'Export-QModel' = @(
        @{ Code = '$q | Export-QModel ./net-int8.onnx'
           Text = 'Writes a quantized model as an ONNX file with QuantizeLinear and DequantizeLinear, which other runtimes run in int8.' }
        @{ Code = '$q | Export-QModel ./net-int8.onnx -ExternalData'
           Text = 'Writes the weights to net-int8.onnx.data beside it, as models beyond 2 GB are always written.' }
        @{ Code = '$q | Export-QModel ./net-qoperator.onnx -Format QOperator'
           Text = 'The same with operators on integers: QLinearConv, QGemm, QLinearAdd, ...' }
    )
    'Export-Tensor' = @(
        @{ Code = '$y | Export-Tensor ./y.npy -Force'
           Text = 'Writes one tensor, in place of an older file. Of a quantized tensor the integers are written.' }
        @{ Code = 'Import-Tensor ./images/*.png | Export-Tensor "./arrays/{0:D4}.npy"'
           Text = 'Writes several: {0:D4} is the number of the tensor, with four digits.' }
    )
    'Get-QConfig' = @(
        @{ Code = 'Get-QConfig *qnnpack*'
           Text = 'The presets for QNNPACK: per tensor, symmetric, symmetric per channel.' }
    )
    'Get-QHistogram' = @(
        @{ Code = '$calib | Get-QHistogram conv1*'
           Text = 'How the outputs of the first layers spread, and the range of them that is quantized.' }
        @{ Code = '$q | Get-QLayer stem | Get-QHistogram | ForEach-Object { $_.Counts }'
           Text = 'The counts behind one layer''s bars.' }
    )
    'Get-QLayer' = @(
        @{ Code = '$q | Get-QLayer | Where-Object Op -like Conv* | Sort-Object BiasHeadroom | Select-Object -First 3'
           Text = 'The three convolutions whose bias comes closest to the end of int32.' }
        @{ Code = 'Import-QModel ./int8.onnx | Get-QLayer | Where-Object Kernel -eq "ONNX Runtime"'
           Text = 'What of a file that came quantized our int8 runtime leaves to ONNX Runtime.' }
    )
    'Import-Calibration' = @(
        @{ Code = '$q = Import-Calibration ./resnet8.calib.json.gz -Model (Import-QModel ./resnet8.onnx) | ConvertTo-Quantized'
           Text = 'Quantizes a model with statistics from a file, without the data.' }
    )
    'Import-QModel' = @(
        @{ Code = '$net = Import-QModel ./net.onnx'
           Text = 'Reads a float model.' }
    )
    'Import-Tensor' = @(
        @{ Code = 'Import-Tensor ./calib/*.png -Grayscale -Scale 255 -Mean 0.286 -Std 0.353 -BatchSize 32'
           Text = 'Pictures in grey as tensors [32, 1, H, W] of (pixel / 255 - 0.286) / 0.353.' }
        @{ Code = 'Import-Tensor ./t10k-images-idx3-ubyte.gz -First 512 -Scale 255'
           Text = 'The first 512 images of a compressed idx file, [1, 1, 28, 28] each; no more of the file is read.' }
        @{ Code = 'Import-Tensor ./photos/*.jpg -Resize 224,224 -Scale 255 -Mean 0.485,0.456,0.406 -Std 0.229,0.224,0.225'
           Text = 'Photographs as networks trained on ImageNet with torchvision expect them.' }
        @{ Code = 'Import-Tensor ./test_data_set_0/input_0.pb | Invoke-QModel ./model.onnx'
           Text = 'The test data that ONNX models bring along.' }
    )
    'Invoke-Calibration' = @(
        @{ Code = '$calib = Import-Tensor ./calib.npy -BatchSize 32 | Invoke-Calibration -Model $net -QConfig fbgemm'
           Text = 'Watches the activations of a model for 32 samples at a time. Nothing of a batch is kept.' }
    )
    'Invoke-QModel' = @(
        @{ Code = '@{ input_ids = New-Tensor 1, 3 -Value 101, 2054, 102; attention_mask = New-Tensor 1, 3 -Fill 1 } | Invoke-QModel ./bert.onnx'
           Text = 'A model with several inputs takes a hashtable with a tensor for each. Tensors of whole numbers fit inputs of integers.' }
        @{ Code = 'Import-Tensor ./images/*.png -Scale 255 | Invoke-QModel -Model $q'
           Text = 'The outputs of a quantized model. -Runtime OnnxRuntime runs the same model there.' }
        @{ Code = '$y = $x | Invoke-QModel -Model (Import-QModel ./from-elsewhere-int8.onnx)'
           Text = 'A model that came quantized (QuantizeLinear, QLinearConv, MatMulInteger...): its integer nodes run in our engine, the others in ONNX Runtime. ' +
               'float32 outputs are Tensors. Integers are QuantizedTensors, with the scale and zero point that the model names for them, else 1 and 0: ' +
               'the numbers themselves. Inputs of integers take Tensors that hold integers of that type.' }
    )
    'Invoke-QuantizationJob' = @(
        @{ Code = '$x = Import-Tensor ./calib.npy -BatchSize 32
Invoke-QuantizationJob -Path ./models/*.onnx -Destination ./int8 -Data $x -QConfig x86 -ThrottleLimit 2'
           Text = 'Quantizes every model of a folder, two at a time. Those that are in ./int8 already are skipped, one that fails does not stop the others.' }
        @{ Code = 'Get-ChildItem ./models -Recurse -Filter *.onnx | Invoke-QuantizationJob -Destination ./int8 -Data { Import-Tensor "./calib/$($_.BaseName)/*.png" -Scale 255 } | Where-Object Status -eq Failed'
           Text = 'Every model with data of its own; what is left are the models that could not be quantized, each with its Error.' }
        @{ Code = 'Invoke-QuantizationJob ./models/*.onnx ./int8 $x -QConfig onnxruntime -Format QOperator -Option @{ PerChannel = $true; ExcludeOpType = "Softmax" }'
           Text = 'Operators on integers in the files, and options of ConvertTo-Quantized for all of them. With -Option { ... } each model gets its own.' }
    )
    'Invoke-QuantizedFunction' = @(
        @{ Code = '$a | Invoke-QuantizedFunction add $b -Scale 0.05 -ZeroPoint 128'
           Text = 'torch.ops.quantized.add(a, b, 0.05, 128).' }
        @{ Code = '$a | Invoke-QuantizedFunction max_pool2d -Argument @{ kernel_size = 2; stride = 2 }'
           Text = 'Keyword arguments have their names from PyTorch.' }
    )
    'Invoke-QuantizedLayer' = @(
        @{ Code = '$x | Invoke-QuantizedLayer -Layer ($q | Get-QLayer fc)'
           Text = 'A tensor through the linear layer of a quantized model.' }
    )
    'New-QuantizedConvTranspose' = @(
        @{ Code = 'New-QuantizedConvTranspose -Weight $w -InputScale 0.02 -InputZeroPoint 128 -OutputScale 0.05 -Stride 2 -Engine qnnpack'
           Text = 'A transposed convolution; the weight is [in, out / groups, kernel...] as in PyTorch.' }
    )
    'Invoke-QuantizedConv' = @(
        @{ Code = 'New-Tensor -Shape 1,5,7,7 -Fill 1 | Invoke-QuantizedConv -Layer $q'
           Text = 'Puts a float tensor through the one convolution of a quantized model; it is quantized on the way in.' }
    )
    'Measure-QModel' = @(
        @{ Code = 'Import-Tensor ./t10k-images-idx3-ubyte.gz -Scale 255 | Measure-QModel -Model $q -Labels ./t10k-labels-idx1-ubyte.gz'
           Text = 'Top-1 accuracy and median latency.' }
    )
    'Merge-Calibration' = @(
        @{ Code = '$q = Import-Calibration ./part*.json -Model $net | Merge-Calibration | ConvertTo-Quantized'
           Text = 'Statistics that several machines gathered, as if one had seen all the data; the order does not matter.' }
    )
    'New-Conv2d' = @(
        @{ Code = '$conv = New-Conv2d -InChannels 5 -OutChannels 2 -KernelSize 3 -Weight 0 -Bias 0.5'
           Text = 'A model of one convolution, as torch.nn.Conv2d(5, 2, 3), with all weights 0 and all biases 0.5.' }
    )
    'New-Linear' = @(
        @{ Code = '$linear = New-Linear -InFeatures 10 -OutFeatures 3 -Seed 1'
           Text = 'A model of one linear layer with random weights that are the same every time.' }
    )
    'New-QConfig' = @(
        @{ Code = 'New-QConfig qnnpack'
           Text = 'PyTorch''s get_default_qconfig("qnnpack").' }
        @{ Code = 'New-QConfig -ActivationObserver MinMax -WeightObserver PerChannelMinMax -WeightDType qint8 -WeightScheme per_channel_affine'
           Text = 'x86 with observers of one''s own. Naming an observer replaces the preset''s with all its arguments, so that the activations use all of 0..255.' }
        @{ Code = 'New-QConfig x86 -Exclude fc -Override @{ ''layer1*'' = @{ ActivationObserver = ''MinMax'' }; stem = ''qnnpack'' }'
           Text = 'fc stays float, the layers that begin with layer1 have activations observed by MinMax, stem has the observers of the preset qnnpack.' }
        @{ Code = 'New-QConfig onnxruntime -Averaging -CollectSize 8 -AveragingConstant 0.05 -ForceQuantize'
           Text = 'As quantize_static with CalibMovingAverage, CalibStridedMinMax, CalibMovingAverageConstant and ForceQuantizeNoInputCheck. docs/QUANTIZE_STATIC.md lists all.' }
    )
    'New-QuantizedConv' = @(
        @{ Code = '$w = New-QuantizedTensor -IntRepr 1,-2,3,4 -Shape 1,1,2,2 -Scale 0.1 -DType qint8
$conv = New-QuantizedConv -Weight $w -Bias 0.5 -InputScale 0.02 -OutputScale 0.05 -Engine qnnpack
$conv.QuantizedBias'
           Text = 'A quantized convolution from known integers, and the bias as QNNPACK''s accumulator sees it: 250.' }
    )
    'New-QuantizedLinear' = @(
        @{ Code = 'New-QuantizedLinear -Weight (New-QuantizedTensor -IntRepr 1,2,3,4 -Shape 2,2 -Scale 0.1 -DType qint8) -InputScale 0.02 -OutputScale 0.05'
           Text = 'A quantized linear layer with two inputs and two outputs.' }
    )
    'New-QuantizedTensor' = @(
        @{ Code = 'New-QuantizedTensor -IntRepr 1,2,3,4 -Shape 2,2 -Scale 0.1,0.2 -DType qint8 -Axis 0'
           Text = 'Integers whose scale differs from row to row.' }
    )
    'New-Tensor' = @(
        @{ Code = 'New-Tensor -Shape 2,5,7,7 -Fill 1'
           Text = 'Two images of ones, five channels, 7 by 7.' }
        @{ Code = '(New-Tensor 2,3 -Value 1,2,3,4,5,6)[1,2]'
           Text = 'The last element of a matrix: 6.' }
        @{ Code = 'New-Tensor 1,3,32,32 -Random -Normal -Seed 1'
           Text = 'Normally distributed numbers, the same every time.' }
    )
    'Trace-QuantizedConv' = @(
        @{ Code = '$x | Trace-QuantizedConv -Layer ($q | Get-QLayer stem) -At 0,3,10,10'
           Text = 'Why output channel 3 at row 10, column 10 is what it is: taps, accumulator, bias, multiplier, rounding.' }
    )
}
