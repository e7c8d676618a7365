#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that knows nothing but the installed files builds and binds: through pkg-config and through CMake.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"

prefix=$TMP/usr
# A plain build: a program of somebody else's has no sanitizers.
plain=$SOURCE/build/bench
status "cmake --install succeeds" 0 cmake --install "$plain" --prefix "$prefix"

lib=$(dirname "$(find "$prefix" -name libpanbind.so)")
for file in include/panbind.h bin/panbind share/man/man1/panbind.1 share/man/man3/libpanbind.3 \
	share/man/man5/panbind-script.5; do
	ok "$file is installed" test -s "$prefix/$file"
done
ok "panbind.pc is installed" test -s "$lib/pkgconfig/panbind.pc"
ok "panbindConfig.cmake is installed" test -s "$lib/cmake/panbind/panbindConfig.cmake"
is "seven headers, no private one" "$(cd "$prefix" && find . -name '*.h' | sort | xargs)" \
	"./include/panbind-adopt.h ./include/panbind-log.h ./include/panbind-plan.h ./include/panbind-script.h ./include/panbind-sim.h ./include/panbind-state.h ./include/panbind.h"

cat >"$TMP/ten.c" <<'C'
#include <panbind.h>
int main(void)
{
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	if (panbind_device_open("sim:", &device, NULL) || panbind_vm_create(device, 0, &vm, NULL) ||
	    panbind_bo_create(device, 65536, 0, NULL, &bo, NULL))
		return 1;
	return panbind_vm_map(vm, 0x100000, 65536, bo, 0, 0, NULL) || panbind_vm_mapping_count(vm) != 1;
}
C

export PKG_CONFIG_PATH=$lib/pkgconfig
pc_flags=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs panbind)
# shellcheck disable=SC2086
ok "ten lines build with pkg-config" cc -Wall -Werror "$TMP/ten.c" -o "$TMP/ten" $pc_flags "-Wl,-rpath,$lib"
ok "and bind" "$TMP/ten"

mkdir "$TMP/project"
cp "$TMP/ten.c" "$TMP/project"
cat >"$TMP/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(ten C)
find_package(panbind 0.1 REQUIRED)
add_executable(ten ten.c)
target_link_libraries(ten PRIVATE panbind::panbind)
CMAKE
status "ten lines configure with find_package" 0 \
	cmake -G Ninja -S "$TMP/project" -B "$TMP/project/build" -DCMAKE_PREFIX_PATH="$prefix"
status "and build" 0 cmake --build "$TMP/project/build"
ok "and bind" "$TMP/project/build/ten"

ok "the library needs libdrm and libc, nothing else" \
	bash -c "! ldd '$lib/libpanbind.so' | grep -vE 'linux-vdso|libdrm|libc\.so|ld-linux|libm\.so|libpthread'"
ok "the preload library is installed" test -s "$lib/panbind/libpanbind-preload.so"
status "the installed program simulates a node" 0 env LD_LIBRARY_PATH="$lib" "$prefix/bin/panbind" sim "$prefix/bin/panbind" devices
status "the installed program runs" 0 env LD_LIBRARY_PATH="$lib" "$prefix/bin/panbind" --version
for page in man1/panbind.1 man3/libpanbind.3 man5/panbind-script.5; do
	man --warnings -l -Tutf8 "$prefix/share/man/$page" >/dev/null 2>"$TMP/man.err"
	is "$page renders without warnings" "$(cat "$TMP/man.err")" ""
done
done_testing
