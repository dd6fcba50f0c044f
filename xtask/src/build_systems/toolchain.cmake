# Toolchain file for unikernels: cmake -DCMAKE_TOOLCHAIN_FILE=THIS_FILE
# The compiler links probes for the bindings `stub`, so CMake can try it.

get_filename_component(_solo5 "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
get_filename_component(_solo5_prefix "${_solo5}/../../.." ABSOLUTE)

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR @ARCH@)
set(CMAKE_C_COMPILER "${_solo5_prefix}/bin/@TRIPLE@-cc")
set(CMAKE_CXX_COMPILER "${_solo5_prefix}/bin/@TRIPLE@-c++")
set(CMAKE_ASM_COMPILER "${CMAKE_C_COMPILER}")
set(CMAKE_LINKER "${_solo5_prefix}/bin/@TRIPLE@-ld")
set(CMAKE_OBJCOPY "${_solo5_prefix}/bin/@TRIPLE@-objcopy")
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

set(Solo5_DIR "${_solo5}")
# Programs are the host's; libraries and headers of the host are useless to a unikernel.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
