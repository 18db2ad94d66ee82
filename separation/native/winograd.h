/* Winograd's transforms F(4, 3): four sums of three products each, of six neighbouring values and three taps,
   with six multiplications. Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016).

   The points are 0, a, -a, b, -b and infinity, with a = 3/4 and b = 3/2: rounding errors are half as large as
   with the usual 1 and 2, and all factors of the input's transform are exact. */

#ifndef WINOGRAD_H
#define WINOGRAD_H

#include "vectors.h"

#define TILE 4   /* neighbouring results of a dimension */
#define POINTS 6 /* of a dimension; a tile has their square */
#define ALL_POINTS (POINTS * POINTS)

#define A (3.0f / 4.0f)
#define B (3.0f / 2.0f)
#define A2 (A * A)
#define B2 (B * B)
/* What the kernels' values at 0, a and b are divided by. */
#define AT_0 (A2 * B2)
#define AT_A (2 * A2 * (A2 - B2))
#define AT_B (2 * B2 * (B2 - A2))

/* Six values, to six that are `step` apart. */
INLINE void input_points(const vector *values, vector *to, const int step) {
    vector even = values[4] - values[2] * B2, odd = values[3] * A - values[1] * (A * B2);
    vector even_far = values[4] - values[2] * A2, odd_far = values[3] * B - values[1] * (B * A2);
    to[0] = values[0] * AT_0 - values[2] * (A2 + B2) + values[4];
    to[step] = even + odd;
    to[2 * step] = even - odd;
    to[3 * step] = even_far + odd_far;
    to[4 * step] = even_far - odd_far;
    to[5 * step] = values[1] * AT_0 - values[3] * (A2 + B2) + values[5];
}

/* Three taps, to six values that are `step` apart. `results` divides by AT_0, AT_A and AT_B: there are fewer
   tiles than kernels in the deep layers. */
INLINE void kernel_points(vector first, vector second, vector third, vector *to, const int step) {
    vector even = first + third * A2, even_far = first + third * B2;
    to[0] = first;
    to[step] = even + second * A;
    to[2 * step] = even - second * A;
    to[3 * step] = even_far + second * B;
    to[4 * step] = even_far - second * B;
    to[5 * step] = third;
}

/* Sums of products of six points, or of the first five where the third tap is zero, to the four results. */
INLINE void results(const vector *sums, const int points, vector *to) {
    vector even = sums[1] + sums[2], odd = sums[1] - sums[2];
    vector even_far = sums[3] + sums[4], odd_far = sums[3] - sums[4];
    to[0] = sums[0] * (1 / AT_0) + even * (1 / AT_A) + even_far * (1 / AT_B);
    to[1] = odd * (A / AT_A) + odd_far * (B / AT_B);
    to[2] = even * (A2 / AT_A) + even_far * (B2 / AT_B);
    to[3] = odd * (A * A2 / AT_A) + odd_far * (B * B2 / AT_B);
    if (points == POINTS) to[3] += sums[5];
}

/* A window of 6 x 6 pixels of LANES channels, to 36 values that are `step` apart. */
APART void window_points(const float *pixels, long row_step, long column_step, float *to, long step) {
    vector columns[ALL_POINTS];
    UNROLL
    for (int x = 0; x < POINTS; x++) {
        vector values[POINTS];
        UNROLL
        for (int y = 0; y < POINTS; y++) {
            values[y] = load(pixels + y * row_step + x * column_step);
            if (x >= POINTS - TILE && column_step <= 64) __builtin_prefetch(pixels + y * row_step + (x + TILE) * column_step);
        }
        input_points(values, columns + x, POINTS);
    }
    UNROLL
    for (int y = 0; y < POINTS; y++) {
        vector values[POINTS];
        input_points(columns + y * POINTS, values, 1);
        UNROLL
        for (int x = 0; x < POINTS; x++) store(to + (y * POINTS + x) * step, values[x]);
    }
}

/* Sums of products that are `step` apart, to a tile of 4 x 4 results. Those of further points are zero. */
INLINE void tile_results(const float *sums, long step, const int row_points, const int column_points,
                         vector *tile) {
    vector columns[TILE * POINTS];
    UNROLL
    for (int x = 0; x < column_points; x++) {
        vector values[POINTS], four[TILE];
        UNROLL
        for (int y = 0; y < row_points; y++) values[y] = load(sums + (y * POINTS + x) * step);
        results(values, row_points, four);
        UNROLL
        for (int y = 0; y < TILE; y++) columns[y * POINTS + x] = four[y];
    }
    UNROLL
    for (int y = 0; y < TILE; y++) results(columns + y * POINTS, column_points, tile + y * TILE);
}

#endif
