#!/bin/bash
# Makes the virtual environment of the rivals: tools/peers/setup.sh FOLDER. Takes about 6 GB, and minutes to compile llama.cpp for this CPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:?want a folder for the virtual environment}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install -q -r "$here/requirements.txt"
CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" "$venv/bin/pip" install -q --no-binary llama-cpp-python llama-cpp-python==0.3.36
"$venv/bin/python" -c "import ctranslate2, llama_cpp, openvino_genai; print('peers are ready')"
