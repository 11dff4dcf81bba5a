# SPDX-License-Identifier: GPL-3.0-or-later

# A static library of all sources in core/NAME; the remaining arguments are what it links (publicly).
function(kvscope_core_library NAME)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/${NAME}/*.cpp ${CMAKE_SOURCE_DIR}/core/${NAME}/*.h)
    add_library(kvscope_${NAME} STATIC ${sources})
    set_target_properties(kvscope_${NAME} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(kvscope_${NAME} PUBLIC kvscope_options ${ARGN})
endfunction()
