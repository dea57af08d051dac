# The CUDA kernels, compiled up to twice: by nvcc for a GPU (ENAS_CUDA), and on x86-64 always by the C++ compiler for
# the shim of cuda/host/, so that tests run every kernel on the CPU. Both are object libraries: each program links one,
# ENAS_DEVICE_OBJECTS (the GPU's, or nothing) or enas_cuda_host.
file(GLOB ENAS_KERNELS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cuda/ops/*.cu)
set(ENAS_CUDA_ARCHITECTURES 90 CACHE STRING "compute capabilities: 90, or 80-real;90 for both and PTX for later ones")

set(ENAS_WITH_CUDA OFF)
if(NOT ENAS_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER)
    find_program(ENAS_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda/bin)
    if(ENAS_NVCC)
      set(CMAKE_CUDA_COMPILER ${ENAS_NVCC})
    endif()
  endif()
  if(CMAKE_CUDA_COMPILER)
    set(ENAS_WITH_CUDA ON)
  elseif(ENAS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ENAS_CUDA=ON: found no nvcc; install the CUDA Toolkit (12 or 13) or set CUDACXX, or use ENAS_CUDA=OFF")
  endif()
endif()

if(ENAS_WITH_CUDA)
  # What the last one forbids, a spill or a stack frame, costs more than most mistakes in a kernel.
  set(ENAS_NVCC_FLAGS -O3 --expt-relaxed-constexpr -DENAS_WITH_CUDA=1
      -Xptxas=--warn-on-spills,--warn-on-local-memory-usage,--warning-as-error)
  set(CMAKE_CUDA_ARCHITECTURES ${ENAS_CUDA_ARCHITECTURES})
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows none for nvcc
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  if(ENAS_CCACHE)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${ENAS_CCACHE})
  endif()
  find_package(CUDAToolkit REQUIRED)
  target_compile_definitions(enas_options INTERFACE ENAS_WITH_CUDA=1)
  list(JOIN ENAS_CUDA_ARCHITECTURES "," listed)
  list(JOIN ENAS_NVCC_FLAGS " " flags)
  message(STATUS "enas: CUDA on, nvcc ${CMAKE_CUDA_COMPILER_VERSION} for sm_${listed}; a kernel file by itself: "
                 "nvcc -std=c++20 -I. -arch=sm_90 ${flags} -c FILE.cu")
  set(ENAS_DEVICE_OBJECTS enas_cuda enas_ops)  # and what the kernels need, where a program links no floor
else()
  message(STATUS "enas: CUDA off (${ENAS_CUDA}, no nvcc or not wanted); tests run the kernels on the CPU")
endif()

# The targets need the floors' interfaces, so they are made after them.
function(enas_cuda_targets)
  file(GLOB runtime CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cuda/*.cpp)
  if(ENAS_WITH_CUDA)
    add_library(enas_cuda OBJECT ${runtime} ${ENAS_KERNELS})
    target_include_directories(enas_cuda PUBLIC ${CMAKE_SOURCE_DIR})
    target_compile_definitions(enas_cuda PRIVATE ENAS_WITH_CUDA=1)
    target_compile_options(enas_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${ENAS_NVCC_FLAGS}>"
                           "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Werror>")
    target_link_libraries(enas_cuda PUBLIC CUDA::cudart_static Threads::Threads ${CMAKE_DL_LIBS})
  endif()
  if(ENAS_X86)
    # The allocator, the counters and what opens libraries are plain C++ and serve both worlds.
    file(GLOB shim CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cuda/host/*.cpp ${CMAKE_SOURCE_DIR}/cuda/allocator.cpp
         ${CMAKE_SOURCE_DIR}/cuda/counters.cpp ${CMAKE_SOURCE_DIR}/cuda/library.cpp)
    set(kernels_on_host)
    foreach(kernel ${ENAS_KERNELS})
      # CMake gives a .cu to nvcc where CUDA is on; the host's copy is a .cpp that includes it.
      get_filename_component(stem ${kernel} NAME_WE)
      set(copy ${CMAKE_BINARY_DIR}/cuda_on_host/${stem}.cpp)
      file(CONFIGURE OUTPUT ${copy} CONTENT "#include \"cuda/ops/${stem}.cu\"\n")
      list(APPEND kernels_on_host ${copy})
    endforeach()
    add_library(enas_cuda_host OBJECT EXCLUDE_FROM_ALL ${shim} ${kernels_on_host})
    target_link_libraries(enas_cuda_host PUBLIC enas_options ${CMAKE_DL_LIBS})
    target_compile_definitions(enas_cuda_host PUBLIC ENAS_WITH_CUDA=1 ENAS_CUDA_ON_HOST=1)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(enas_cuda_host PUBLIC -Wno-unknown-pragmas)  # unroll, which nvcc and clang know
    endif()
  endif()
endfunction()
