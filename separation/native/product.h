/* Products of small matrices that stay in the caches. */

#ifndef PRODUCT_H
#define PRODUCT_H

#include "vectors.h"

/* A matrix of rows that need not be dense: row r begins at `values + r * step`. With several parts, a row is
   made of pieces that are `part_step` apart, as the rows of an image are that lie under a kernel. */
typedef struct {
    const float *values;
    long step;
    int parts;
    long part_step;
    long length; /* of a part */
} matrix;

/* The products of `rows` rows of a and `width` vectors of columns of b, added to c if `more`: summing slices of k
   apart rounds less. */
INLINE void product_of(const int rows, const int width, matrix a, const float *b, long b_step, float *c,
                       long c_step, int more) {
    vector sum[2 * ROWS];
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int n = 0; n < width; n++) sum[r * width + n] = splat(0);
    for (int part = 0; part < a.parts; part++) {
        const float *values = a.values + part * a.part_step;
        for (long k = 0; k < a.length; k++, b += b_step) {
            vector column[2];
            UNROLL
            for (int n = 0; n < width; n++) column[n] = load(b + n * LANES);
            UNROLL
            for (int r = 0; r < rows; r++) {
                vector value = splat(values[r * a.step + k]);
                UNROLL
                for (int n = 0; n < width; n++) sum[r * width + n] += value * column[n];
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int n = 0; n < width; n++) {
            float *to = c + r * c_step + n * LANES;
            store(to, more ? load(to) + sum[r * width + n] : sum[r * width + n]);
        }
}

/* c (rows x 2 LANES) = a (rows x k) times b (k x 2 LANES), added to what is in c if `more`. */
APART void product(long rows, matrix a, const float *b, long b_step, float *c, long c_step, int more) {
    while (rows) {
        /* Two blocks of about the same size, rather than a full one and a small one, whose sums would be too few to
           hide how long each addition takes. */
        const int block = rows >= 2 * ROWS ? ROWS : rows > ROWS ? (int)(rows + 1) / 2 : (int)rows;
        switch (block) {
#define CASE(N)                                                                                              \
    case N: product_of(N, 2, a, b, b_step, c, c_step, more); break;
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
#if ROWS > 6
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
#endif
#undef CASE
        }
        rows -= block, a.values += block * a.step, c += block * c_step;
    }
}

#endif
