#!/bin/sh
# Remove from an environment what no command of an image needs: tests and headers of packages, ONNX Runtime's
# tools for building models, and botocore's descriptions of services other than S3 and the logins for it.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
# Those of our own kernels stay: a library is compared with its sources before it is used.
find . -type f ! -path './stemline/*' \
    \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' -o -name '*.proto' \) -delete
# The library for programs in C: Python's module holds all of it itself.
rm -f onnxruntime/capi/libonnxruntime.so.* onnxruntime/capi/libonnxruntime_providers_tensorrt.so
# Of NVIDIA's packages, only their shared libraries are used.
rm -rf nvidia/*/include
find . -path './nvidia/*' -name '*.a' -delete
rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/datasets
for service in botocore/data/*/; do
    case "$(basename "$service")" in
        s3 | sts | sso | sso-oidc | signin) ;;
        *) rm -rf "$service" ;;
    esac
done
