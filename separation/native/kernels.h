/* Kernels of 5 x 5 taps, to their values at the points of Winograd's transform.

   In a checkpoint the taps of a kernel lie far apart, by powers of two, so that a cache holds few of them at a time.
   `pack_plain` and `pack_transposed` bring them beside each other, in the order in which they are needed: for a
   panel of filters, channel by channel, 25 vectors of filters. */

#ifndef KERNELS_H
#define KERNELS_H

#include "winograd.h"

#define TAPS 5
#define PANEL (2 * LANES) /* columns of a product */
#define DOWN_SLICE 16     /* input channels whose kernels are transformed at a time */
#define UP_SLICE 64       /* the same for a transposed convolution, whose parts are not added up */
#define AHEAD 4           /* vectors of kernels by which taps are fetched before they are needed */
#define LINE 16           /* values in a line of the cache. Points are an odd number of lines apart, else all of
                             them would compete for one place in the cache. */

INLINE long panel_of(long filters) { return filters < PANEL ? filters : PANEL; }

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

/* The packed taps of a vector of kernels, to their values at all points of all parts. */
INLINE void points_of_all_parts(const float *taps, float *to, long part_step, long point_step, const int transposed) {
    vector columns[2 * POINTS * TAPS];
    UNROLL
    for (int x = 0; x < TAPS; x++) {
        vector column[TAPS];
        UNROLL
        for (int y = 0; y < TAPS; y++) {
            const int at = (y * TAPS + x) * LANES;
            column[y] = load(taps + at);
            if (at % LINE == 0) __builtin_prefetch(taps + at + AHEAD * TAPS * TAPS * LANES);
        }
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

/* The packed taps of a slice of the input channels, for a panel of filters. */
INLINE const float *slice_of(const float *packed, long filter, long channel, long channels, long filters) {
    return packed + TAPS * TAPS * (filter * channels + channel * panel_of(filters));
}

/* The values of plain kernels at all points: (points, parts, channels of a slice, filters of a panel). */
APART void plain_points(const float *taps, float *to, long point_step) {
    for (long c = 0; c < DOWN_SLICE; c++)
        for (long n = 0; n < PANEL; n += LANES, taps += TAPS * TAPS * LANES)
            points_of_all_parts(taps, to + c * PANEL + n, DOWN_SLICE * PANEL, point_step, 0);
}

/* The values of transposed kernels at all points: (points, channels of a slice, parts, filters of a panel). */
APART void transposed_points(const float *taps, long panel, float *to, long point_step) {
    for (long c = 0; c < UP_SLICE; c++)
        for (long n = 0; n < panel; n += LANES, taps += TAPS * TAPS * LANES)
            points_of_all_parts(taps, to + c * PARTS * panel + n, panel, point_step, 1);
}

/* Pack kernels (5, 5, channels, filters). */
APART void pack_plain(const float *kernel, long channels, long filters, float *to) {
    for (long filter = 0; filter < filters; filter += PANEL)
        for (long channel = 0; channel < channels; channel += DOWN_SLICE, to += TAPS * TAPS * DOWN_SLICE * PANEL)
            for (long tap = 0; tap < TAPS * TAPS; tap++)
                for (long c = 0; c < DOWN_SLICE; c++)
                    for (long n = 0; n < PANEL; n += LANES)
                        store(to + TAPS * TAPS * (c * PANEL + n) + tap * LANES,
                              load(kernel + (tap * channels + channel + c) * filters + filter + n));
}

/* Pack kernels (5, 5, filters, channels). */
APART void pack_transposed(const float *kernel, long channels, long filters, float *to) {
    const long panel = panel_of(filters);
    for (long filter = 0; filter < filters; filter += panel)
        for (long channel = 0; channel < channels; channel += LINE, to += TAPS * TAPS * LINE * panel)
            for (long tap = 0; tap < TAPS * TAPS; tap++)
                for (long n = 0; n < panel; n += LANES)
                    for (long c = 0; c < LINE; c += LANES) {
                        const float *from = kernel + (tap * filters + filter + n) * channels + channel + c;
                        vector block[LANES];
                        UNROLL
                        for (int i = 0; i < LANES; i++) block[i] = load(from + i * channels);
                        transpose(block);
                        UNROLL
                        for (int i = 0; i < LANES; i++)
                            store(to + TAPS * TAPS * ((c + i) * panel + n) + tap * LANES, block[i]);
                    }
}

#endif
