# find_package(Solo5) of a CMake project:
#
#   solo5_add_unikernel(NAME ABI hvt|spt|... [MANIFEST FILE] [LIBC musl] SOURCES FILE...)
#
# adds the executable NAME, whose file is NAME.ABI. With LIBC its sources, in C or C++, have a C library. The project is configured with the toolchain file beside
# this one: cmake -DCMAKE_TOOLCHAIN_FILE=PREFIX/lib/cmake/Solo5/@TRIPLE@.cmake

get_filename_component(_solo5 "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
get_filename_component(Solo5_PREFIX "${_solo5}/../../.." ABSOLUTE)
set(Solo5_INCLUDE_DIR "${Solo5_PREFIX}/include/solo5")
set(Solo5_ABIS @ABIS@)

# Solo5_SPT, Solo5_ELFTOOL and so on: the programs that are installed.
file(GLOB _solo5_programs "${Solo5_PREFIX}/bin/solo5-*")
foreach(_solo5_program IN LISTS _solo5_programs)
    get_filename_component(_solo5_name "${_solo5_program}" NAME)
    string(REGEX REPLACE "^solo5-" "" _solo5_name "${_solo5_name}")
    string(MAKE_C_IDENTIFIER "${_solo5_name}" _solo5_name)
    string(TOUPPER "${_solo5_name}" _solo5_name)
    set(Solo5_${_solo5_name} "${_solo5_program}")
endforeach()

function(solo5_add_unikernel name)
    cmake_parse_arguments(PARSE_ARGV 1 solo5 "" "ABI;MANIFEST;LIBC" "SOURCES")
    if(NOT solo5_ABI IN_LIST Solo5_ABIS)
        message(FATAL_ERROR "solo5_add_unikernel(${name}): ABI is '${solo5_ABI}', but must be one of ${Solo5_ABIS}")
    endif()
    if(NOT solo5_SOURCES OR solo5_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "solo5_add_unikernel(${name}): sources stand after SOURCES")
    endif()
    if(NOT "${CMAKE_C_COMPILER};${CMAKE_CXX_COMPILER}" MATCHES "-solo5-none-static-c[c+]")
        message(FATAL_ERROR "solo5_add_unikernel(${name}): configure with a toolchain file of ${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
    endif()
    add_executable(${name} ${solo5_SOURCES})
    set_target_properties(${name} PROPERTIES SUFFIX ".${solo5_ABI}")
    target_link_options(${name} PRIVATE "SHELL:-z solo5-abi=${solo5_ABI}")
    if(solo5_LIBC)
        target_compile_options(${name} PRIVATE "SHELL:-z solo5-libc=${solo5_LIBC}")
        target_link_options(${name} PRIVATE "SHELL:-z solo5-libc=${solo5_LIBC}")
    endif()
    if(solo5_MANIFEST)
        get_filename_component(manifest "${solo5_MANIFEST}" ABSOLUTE)
        target_link_options(${name} PRIVATE "-Wl,-z,solo5-manifest=${manifest}")
        set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS "${manifest}")
    endif()
endfunction()
