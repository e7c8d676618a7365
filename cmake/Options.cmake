# SPDX-License-Identifier: MIT
# Build options, warnings and sanitizers. Presets (CMakePresets.json) set the options; nothing else should.

option(PANBIND_TESTS "Build the tests" ON)
option(PANBIND_WERROR "Warnings are errors" OFF)
set(PANBIND_SANITIZE "" CACHE STRING "Sanitizers for everything: address;undefined, thread, or empty")
option(PANBIND_FUZZ "Build the libFuzzer targets (clang)" OFF)

add_compile_options(
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef
  -Wvla -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter -Wno-missing-field-initializers
  -fno-common -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64)
if(PANBIND_WERROR)
  add_compile_options(-Werror)
endif()

if(PANBIND_SANITIZE)
  string(REPLACE ";" "," sanitizers "${PANBIND_SANITIZE}")
  add_compile_options(-fsanitize=${sanitizers} -fno-omit-frame-pointer)
  if("undefined" IN_LIST PANBIND_SANITIZE)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  add_link_options(-fsanitize=${sanitizers})
endif()
if(PANBIND_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
