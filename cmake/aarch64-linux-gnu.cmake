# SPDX-License-Identifier: MIT
# arm64 with Debian's cross compiler and multiarch libraries (tools/packages arm64), as the preset arm64 uses it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

# Libraries are those of arm64 and no others; what our own folder adds is explained there.
set(ENV{PKG_CONFIG_LIBDIR}
  "${CMAKE_CURRENT_LIST_DIR}/aarch64-linux-gnu:/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig")
