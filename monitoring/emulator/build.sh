#!/bin/sh
# build.sh FOLDER: libnvidia-ml.so.1 into FOLDER, in one step, so that nobody loads half of it.
set -eu
here=$(dirname "$0")
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -Wl,-soname,libnvidia-ml.so.1 \
    -o "$1/libnvidia-ml.so.1.new" "$here/state.c" "$here/nvml.c" -lm -lpthread
mv "$1/libnvidia-ml.so.1.new" "$1/libnvidia-ml.so.1"
