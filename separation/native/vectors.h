/* Vectors of single-precision numbers, as wide as the instruction set that the file is compiled for. */

#ifndef VECTORS_H
#define VECTORS_H

#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#define ROWS 12 /* of a product that are computed at once: two vectors each, in registers */
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 6
#endif

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
/* For what is called from several places, and long: so the compiler sees it once. */
#define APART static __attribute__((noinline))
/* Whole, so that arrays of vectors stay in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef float unaligned_vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));

INLINE vector load(const float *from) { return *(const unaligned_vector *)from; }

INLINE void store(float *to, vector values) { *(unaligned_vector *)to = values; }

INLINE vector splat(float value) { return (vector){0} + value; }

INLINE vector chosen(integers mask, vector where_set, vector elsewhere) {
    return (vector)(((integers)where_set & mask) | ((integers)elsewhere & ~mask));
}

/* Where one of both is not a number, these give b: so what may not be one is the second argument. */
INLINE vector larger(vector a, vector b) { return chosen(a > b, a, b); }

INLINE vector smaller(vector a, vector b) { return chosen(a < b, a, b); }

/* e to the power of each value, which is limited to -87 to 88: the result is a normal number, or none
   if the value is none. The polynomial is the one of the Cephes library for numbers between -ln(2) / 2 and ln(2) / 2. */
INLINE vector exponential(vector value) {
    const float round = 12582912.0f; /* 1.5 * 2^23: what is added to it has no fraction */
    vector limited = smaller(splat(88.0f), larger(splat(-87.0f), value));
    vector power = (limited * 1.44269504088896341f + round) - round;
    vector rest = (limited - power * 0.693359375f) + power * 2.12194440e-4f;
    vector sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * (rest * rest) + rest + 1.0f;
    return sum * (vector)((__builtin_convertvector(power, integers) + 127) << 23);
}

/* The values of two vectors, numbered 0 to LANES - 1 and LANES to 2 * LANES - 1, that `from` names. */
INLINE vector shuffled(vector a, vector b, integers from) {
#if defined(__clang__)
    vector result;
    UNROLL
    for (int i = 0; i < LANES; i++) result[i] = from[i] < LANES ? a[from[i]] : b[from[i] - LANES];
    return result;
#else
    return __builtin_shuffle(a, b, from);
#endif
}

/* A step of `transpose`: every row takes half of its pairs from the row that is `distance` away. */
INLINE void exchange(vector *rows, const int distance) {
    integers low, high;
    UNROLL
    for (int i = 0; i < LANES; i++) {
        low[i] = i & distance ? LANES + i - distance : i;
        high[i] = i & distance ? LANES + i : i + distance;
    }
    UNROLL
    for (int i = 0; i < LANES; i++) {
        if (i & distance) continue;
        vector a = rows[i], b = rows[i + distance];
        rows[i] = shuffled(a, b, low);
        rows[i + distance] = shuffled(a, b, high);
    }
}

/* Exchange rows and columns of LANES x LANES values. No loop: the compiler has to know the distances, else shuffles
   take several instructions. */
INLINE void transpose(vector *rows) {
    exchange(rows, 1);
    exchange(rows, 2);
#if LANES > 4
    exchange(rows, 4);
#endif
#if LANES > 8
    exchange(rows, 8);
#endif
}

/* Put the values of two vectors that have even numbers into the first, and the others into the second. */
INLINE void deinterleave(vector *first, vector *second) {
    integers even, odd;
    UNROLL
    for (int i = 0; i < LANES; i++) even[i] = 2 * i, odd[i] = 2 * i + 1;
    vector a = *first, b = *second;
    *first = shuffled(a, b, even), *second = shuffled(a, b, odd);
}

/* The inverse of `deinterleave`. */
INLINE void interleave(vector *first, vector *second) {
    integers low, high;
    UNROLL
    for (int i = 0; i < LANES; i++) {
        low[i] = i % 2 * LANES + i / 2;
        high[i] = low[i] + LANES / 2;
    }
    vector a = *first, b = *second;
    *first = shuffled(a, b, low), *second = shuffled(a, b, high);
}

INLINE vector reversed(vector values) {
    integers last;
    UNROLL
    for (int i = 0; i < LANES; i++) last[i] = LANES - 1 - i;
    return shuffled(values, values, last);
}

#endif
