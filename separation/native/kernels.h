/* Kernels of 5 x 5 taps, to their values at the points of Winograd's transform.

   Taps of a kernel lie far apart, by powers of two, so that a cache holds few of them at a time: those of some kernels
   are first brought beside each other. */

#ifndef KERNELS_H
#define KERNELS_H

#include "winograd.h"

#define TAPS 5
#define PANEL (2 * LANES) /* columns of a product */
#define DOWN_SLICE 16     /* input channels whose kernels are transformed at a time */
#define UP_SLICE 64       /* the same for a transposed convolution, whose parts are not added up */
#define DOWN_TOGETHER 8   /* input channels whose taps are brought beside each other at a time */
#define LINE 16           /* values in a line of the cache. Points, and taps, are an odd number of lines apart, else
                             all of them would compete for one place in the cache. */
#define DOWN_TAP_STEP (DOWN_TOGETHER * PANEL + LINE)
#define UP_TAP_STEP (LINE * LANES + LINE)

/* In this order those with odd rows, with odd columns, and with both, lie beside each other. */
typedef enum { EVEN_EVEN, EVEN_ODD, ODD_ODD, ODD_EVEN, PARTS } part;

INLINE part part_of(const int odd_row, const int odd_column) {
    return odd_row ? (odd_column ? ODD_ODD : ODD_EVEN) : (odd_column ? EVEN_ODD : EVEN_EVEN);
}

INLINE int has_odd_rows(const part which) { return which >= ODD_ODD; }

INLINE int has_odd_columns(const part which) { return which == EVEN_ODD || which == ODD_ODD; }

/* Parts that follow each other. */
typedef struct {
    int first, count;
} range;

/* The parts that have a value at a point. Those with even rows or columns have two taps in that dimension: their
   third one, the first for a plain convolution, is zero, and so is the value at that end of the points. */
INLINE range parts_at(int point, const int transposed) {
    const int end = transposed ? POINTS - 1 : 0;
    int row_is_end = point / POINTS == end, column_is_end = point % POINTS == end;
    if (row_is_end) return (range){ODD_ODD, column_is_end ? 1 : 2};
    return column_is_end ? (range){EVEN_ODD, 2} : (range){0, PARTS};
}

/* Five taps, to six values of the even part and six of the odd part, all `step` apart. */
INLINE void even_and_odd(const vector *taps, vector *to, const int step, const int transposed) {
    if (transposed) {
        kernel_points(taps[3], taps[1], splat(0), to, step);
        kernel_points(taps[4], taps[2], taps[0], to + POINTS * step, step);
    } else {
        kernel_points(splat(0), taps[1], taps[3], to, step);
        kernel_points(taps[0], taps[2], taps[4], to + POINTS * step, step);
    }
}

/* Kernels of 5 x 5 taps that lie `tap_step` apart, to their values at all points of all parts. */
INLINE void points_of_all_parts(const float *taps, const long tap_step, float *to, long part_step, long point_step,
                                const int transposed) {
    vector columns[2 * POINTS * TAPS];
    UNROLL
    for (int x = 0; x < TAPS; x++) {
        vector column[TAPS];
        UNROLL
        for (int y = 0; y < TAPS; y++) column[y] = load(taps + (y * TAPS + x) * tap_step);
        even_and_odd(column, columns + x, TAPS, transposed);
    }
    const int zero = transposed ? POINTS - 1 : 0; /* what no part has, see `parts_at` */
    for (int y = 0; y < 2 * POINTS; y++) {
        if (y == zero) continue;
        vector row[2 * POINTS];
        even_and_odd(columns + y * TAPS, row, 1, transposed);
        UNROLL
        for (int x = 0; x < 2 * POINTS; x++)
            if (x != zero)
                store(to + part_of(y >= POINTS, x >= POINTS) * part_step
                          + (y % POINTS * POINTS + x % POINTS) * point_step, row[x]);
    }
}

APART void plain_points(const float *taps, float *to, long part_step, long point_step) {
    points_of_all_parts(taps, DOWN_TAP_STEP, to, part_step, point_step, 0);
}

APART void transposed_points(const float *taps, float *to, long part_step, long point_step) {
    points_of_all_parts(taps, UP_TAP_STEP, to, part_step, point_step, 1);
}

/* The values of plain kernels at all points, for a slice of the input channels and a panel of filters. */
APART void slice_of_plain(const float *kernel, long filters, long channels, float *taps, float *to,
                          long kernel_step) {
    for (long first = 0; first < DOWN_SLICE; first += DOWN_TOGETHER) {
        for (int tap = 0; tap < TAPS * TAPS; tap++) {
            const float *from = kernel + (tap * channels + first) * filters;
            for (long c = 0; c < DOWN_TOGETHER; c++)
                for (long n = 0; n < PANEL; n += LANES)
                    store(taps + tap * DOWN_TAP_STEP + c * PANEL + n, load(from + c * filters + n));
        }
        for (long c = 0; c < DOWN_TOGETHER; c++)
            for (long n = 0; n < PANEL; n += LANES)
                plain_points(taps + c * PANEL + n, to + (first + c) * PANEL + n, DOWN_SLICE * PANEL, kernel_step);
    }
}

/* The values of transposed kernels at all points, for a slice of the input channels and a group of filters. The
   filters, which fill the vectors, are first brought beside each other. */
APART void slice_of_transposed(const float *kernel, long filters, long k, long group, float *taps, float *to,
                               long kernel_step) {
    for (long c = 0; c < UP_SLICE; c += LINE)
        for (long n = 0; n < group; n += LANES) {
            for (int tap = 0; tap < TAPS * TAPS; tap++)
                for (long near = 0; near < LINE; near += LANES) {
                    const float *from = kernel + (tap * filters + n) * k + c + near;
                    vector block[LANES];
                    UNROLL
                    for (int i = 0; i < LANES; i++) {
                        block[i] = load(from + i * k);
                        if (!near) __builtin_prefetch(from + (filters + i) * k);
                    }
                    transpose(block);
                    UNROLL
                    for (int i = 0; i < LANES; i++)
                        store(taps + tap * UP_TAP_STEP + (near + i) * LANES, block[i]);
                }
            for (long i = 0; i < LINE; i++)
                transposed_points(taps + i * LANES, to + (c + i) * PARTS * group + n, group, kernel_step);
        }
}

#endif
