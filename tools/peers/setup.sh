#!/bin/bash
# Makes the virtual environment of the rivals: tools/peers/setup.sh FOLDER [avx2]. Takes about 6 GB, and minutes to compile llama.cpp for this
# CPU; with avx2 for one that has no more than that. Not from pip's cache: it does not ask how a package was compiled.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:?want a folder for the virtual environment}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install -q -r "$here/requirements.txt"
cpu="-DGGML_NATIVE=ON"
case ${2:-} in
"") ;;
avx2) cpu="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=OFF" ;;
*) echo "setup.sh: want avx2 or nothing behind the folder, found $2" >&2; exit 2 ;;
esac
CMAKE_ARGS="$cpu -DLLAVA_BUILD=OFF" "$venv/bin/pip" install -q --no-cache-dir --no-binary llama-cpp-python llama-cpp-python==0.3.36
info=$("$venv/bin/python" -c "import ctranslate2, llama_cpp, openvino_genai; print(llama_cpp.llama_print_system_info().decode())")
has512=no want512=no
[[ $info == *AVX512* ]] && has512=yes
[ -z "${2:-}" ] && grep -q avx512f /proc/cpuinfo && want512=yes
if [ $has512 != $want512 ]; then # pip leaves a llama.cpp that is there as it is
  echo "setup.sh: want llama.cpp with AVX-512: $want512, found what an earlier run compiled: $has512; choose another folder" >&2
  exit 1
fi
echo "peers are ready: $info"
