// CUDA's vector types, with its alignments.
#pragma once

#define ENAS_VECTOR2(name, T, alignment) \
  struct alignas(alignment) name {       \
    T x, y;                              \
  };                                     \
  inline name make_##name(T x, T y) { return name{x, y}; }
#define ENAS_VECTOR4(name, T, alignment) \
  struct alignas(alignment) name {       \
    T x, y, z, w;                        \
  };                                     \
  inline name make_##name(T x, T y, T z, T w) { return name{x, y, z, w}; }

ENAS_VECTOR2(float2, float, 8)
ENAS_VECTOR2(double2, double, 16)
ENAS_VECTOR2(int2, int, 8)
ENAS_VECTOR2(uint2, unsigned, 8)
ENAS_VECTOR4(float4, float, 16)
ENAS_VECTOR4(int4, int, 16)
ENAS_VECTOR4(uint4, unsigned, 16)
#undef ENAS_VECTOR2
#undef ENAS_VECTOR4

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned in_x = 1, unsigned in_y = 1, unsigned in_z = 1)
      : x(in_x), y(in_y), z(in_z) {}
};
