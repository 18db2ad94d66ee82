/* Convolutions with kernels of 5 x 5 and stride 2, plain and transposed, by Winograd's F(4, 3).

   Along each dimension a plain one is a sum of two convolutions with stride 1: taps 1 and 3 on the even pixels,
   taps 0, 2 and 4 on the odd ones. A transposed one is two convolutions with stride 1: taps 3 and 1 give the even
   results, taps 4, 2 and 0 the odd ones. So both consist of four parts of at most 3 x 3 taps, which see the same
   windows of pixels.

   Some tiles at a time are taken from their windows to their results, a slice of the input channels after the
   other. Kernels are transformed slice by slice, whenever they are needed: reading the transformed ones, four to
   six times as many, would take longer. */

#ifndef STRIDED_H
#define STRIDED_H

#include <string.h>

#include "product.h"
#include "winograd.h"

#define TAPS 5
#define PANEL (2 * LANES) /* columns of a product */
#define MAX_TILES 48      /* at a time */
#define DOWN_SLICE 16     /* input channels whose kernels are transformed at a time */
#define UP_SLICE 32       /* the same for a transposed convolution, whose parts are not added up */
#define AHEAD 8           /* input channels by which kernels are fetched before they are needed */
#define LINE 16           /* values in a line of the cache. Points are an odd number of lines apart, else all of
                             them would compete for one place in the cache. */

/* In this order those with odd rows, with odd columns, and with both, lie beside each other. */
typedef enum { EVEN_EVEN, EVEN_ODD, ODD_ODD, ODD_EVEN, PARTS } part;

typedef enum { LEAKY_RELU, RELU, ELU } activation;

/* Pixels row by row, each with its channels beside each other. */
typedef struct {
    const float *pixels;
    int height, width;
    long channels;
} image;

/* The weights of a layer as they lie in Spleeter's checkpoints: kernels (5, 5, in, out), transposed (5, 5, out,
   in). The normalisation is a scale and a shift. */
typedef struct {
    const float *kernel, *bias, *scale, *shift;
} layer;

/* Memory of a thread; `place` in unet.c knows the sizes. */
typedef struct {
    float *windows; /* (points, tiles, input channels of all parts) */
    float *kernels; /* (points, parts and input channels of a slice, filters of a panel), in either order */
    float *sums;    /* (points, tiles, filters of a panel, for a transposed convolution of all parts) */
    float *small;   /* the window of a tile at an edge, or taps that were brought to another order */
} scratch;

/* The tiles that are computed at a time. */
typedef struct {
    long first, count;
    int across; /* tiles in a row of them */
} tiles;

INLINE int row_of(tiles those, long number) { return (int)((those.first + number) / those.across) * TILE; }

INLINE int column_of(tiles those, long number) { return (int)((those.first + number) % those.across) * TILE; }

INLINE long tiles_of(int height, int width) {
    return (long)((height + TILE - 1) / TILE) * ((width + TILE - 1) / TILE);
}

INLINE vector activated(vector value, const activation kind) {
    if (kind == LEAKY_RELU) return larger(value, value * 0.2f);
    if (kind == RELU) return larger(splat(0), value);
    return larger(exponential(smaller(splat(0), value)) - 1.0f, value);
}

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

/* Kernels of 5 x 5 taps that lie `tap_step` apart, to their values at all points of all parts. The kernels that lie
   `ahead` are fetched. */
INLINE void points_of_all_parts(const float *taps, long tap_step, long ahead, float *to, long part_step, long point_step,
                       const int transposed) {
    vector columns[2 * POINTS * TAPS];
    UNROLL
    for (int x = 0; x < TAPS; x++) {
        vector column[TAPS];
        UNROLL
        for (int y = 0; y < TAPS; y++) {
            column[y] = load(taps + (y * TAPS + x) * tap_step);
            if (ahead) __builtin_prefetch(taps + (y * TAPS + x) * tap_step + ahead);
        }
        even_and_odd(column, columns + x, TAPS, transposed);
    }
    for (int y = 0; y < 2 * POINTS; y++) {
        vector row[2 * POINTS];
        even_and_odd(columns + y * TAPS, row, 1, transposed);
        UNROLL
        for (int x = 0; x < 2 * POINTS; x++)
            store(to + part_of(y >= POINTS, x >= POINTS) * part_step
                      + (y % POINTS * POINTS + x % POINTS) * point_step, row[x]);
    }
}

APART void plain_points(const float *taps, long tap_step, long ahead, float *to, long part_step, long point_step) {
    points_of_all_parts(taps, tap_step, ahead, to, part_step, point_step, 0);
}

APART void transposed_points(const float *taps, long tap_step, float *to, long part_step, long point_step) {
    points_of_all_parts(taps, tap_step, 0, to, part_step, point_step, 1);
}

INLINE int is_inside(image from, int row, int column) {
    return row >= 0 && row < from.height && column >= 0 && column < from.width;
}

/* The window that begins at a pixel, to its values at all points, for all channels. Channel c goes to `to +
   c / slice * slice_step + c % slice`. Pixels beyond the edges are zero. */
INLINE void tile_points(image from, int row, int column, const int stride, float *to, long point_step,
                        const long slice, long slice_step, float *padded) {
    const long channels = from.channels;
    const float *window = from.pixels + ((long)row * from.width + column) * channels;
    long row_step = (long)from.width * channels * stride, column_step = channels * stride;
    if (!is_inside(from, row, column)
        || !is_inside(from, row + (POINTS - 1) * stride, column + (POINTS - 1) * stride)) {
        for (int point = 0; point < ALL_POINTS; point++) {
            int y = row + point / POINTS * stride, x = column + point % POINTS * stride;
            if (is_inside(from, y, x))
                memcpy(padded + point * channels, from.pixels + ((long)y * from.width + x) * channels,
                       sizeof(float) * channels);
            else
                memset(padded + point * channels, 0, sizeof(float) * channels);
        }
        window = padded, row_step = POINTS * channels, column_step = channels;
    }
    for (long c = 0; c < channels; c += LANES)
        window_points(window + c, row_step, column_step, to + c / slice * slice_step + c % slice, point_step);
}

/* The results of one part of a tile. */
APART void part_results(part which, const float *sums, long step, vector *tile) {
    switch (which) {
    case EVEN_EVEN: tile_results(sums, step, POINTS - 1, POINTS - 1, tile); break;
    case EVEN_ODD: tile_results(sums, step, POINTS - 1, POINTS, tile); break;
    case ODD_EVEN: tile_results(sums, step, POINTS, POINTS - 1, tile); break;
    default: tile_results(sums, step, POINTS, POINTS, tile);
    }
}

/* A plain convolution of some tiles: `raw` is its result, which the decoder sees too, and `next`, unless it is null,
   what the next layer sees: the result normalised and activated. */
INLINE void convolve_tiles(const layer *own, image from, tiles those, long filters, float *raw, float *next,
                           scratch space, const activation kind) {
    const int height = from.height / 2, width = from.width / 2;
    const long k = PARTS * from.channels, window_step = those.count * k + LINE;
    const long kernel_step = PARTS * DOWN_SLICE * PANEL + LINE, sum_step = those.count * PANEL + LINE;
    for (long t = 0; t < those.count; t++)
        for (int each = 0; each < PARTS; each++)
            tile_points(from, 2 * (row_of(those, t) - 1) + has_odd_rows(each),
                        2 * (column_of(those, t) - 1) + has_odd_columns(each), 2,
                        space.windows + t * k + each * DOWN_SLICE, window_step, DOWN_SLICE, PARTS * DOWN_SLICE,
                        space.small);
    for (long filter = 0; filter < filters; filter += PANEL) {
        for (long channel = 0; channel < from.channels; channel += DOWN_SLICE) {
            for (long c = 0; c < DOWN_SLICE; c++)
                for (long n = 0; n < PANEL; n += LANES)
                    plain_points(own->kernel + (channel + c) * filters + filter + n, from.channels * filters,
                                 AHEAD * filters, space.kernels + c * PANEL + n, DOWN_SLICE * PANEL, kernel_step);
            for (int point = 0; point < ALL_POINTS; point++) {
                range parts = parts_at(point, 0);
                long skipped = parts.first * DOWN_SLICE;
                matrix windows = {space.windows + point * window_step + channel * PARTS + skipped, k, 1, 0,
                                  parts.count * DOWN_SLICE};
                product(those.count, windows, space.kernels + point * kernel_step + skipped * PANEL, PANEL,
                        space.sums + point * sum_step, PANEL, channel > 0);
            }
        }
        for (long t = 0; t < those.count; t++)
            for (long n = 0; n < PANEL; n += LANES) {
                const int row = row_of(those, t), column = column_of(those, t);
                const vector bias = load(own->bias + filter + n);
                vector tile[TILE * TILE];
                part_results(ODD_ODD, space.sums + t * PANEL + n, sum_step, tile);
                for (int y = 0; y < TILE && row + y < height; y++)
                    for (int x = 0; x < TILE && column + x < width; x++) {
                        const long at = ((long)(row + y) * width + column + x) * filters + filter + n;
                        vector value = tile[y * TILE + x] + bias;
                        store(raw + at, value);
                        if (!next) continue;
                        value = value * load(own->scale + filter + n) + load(own->shift + filter + n);
                        store(next + at, activated(value, kind));
                    }
            }
    }
}

/* A plain convolution; see `convolve_tiles`. */
INLINE void convolve(const layer *own, image from, long filters, float *raw, float *next, scratch space,
                     const activation kind) {
    const long all = tiles_of(from.height / 2, from.width / 2);
    tiles those = {0, 0, (from.width / 2 + TILE - 1) / TILE};
    for (; those.first < all; those.first += MAX_TILES) {
        those.count = all - those.first < MAX_TILES ? all - those.first : MAX_TILES;
        convolve_tiles(own, from, those, filters, raw, next, space, kind);
    }
}

/* The values of transposed kernels at all points, for a slice of the input channels and a group of filters. The
   filters, which fill the vectors, are first brought beside each other. */
APART void slice_of_transposed(const float *kernel, long filters, long k, long group, scratch space,
                              long kernel_step) {
    const long tap_step = LANES * LANES + LINE;
    for (long n = 0; n < group; n += LANES)
        for (long c = 0; c < UP_SLICE; c += LANES) {
            for (int tap = 0; tap < TAPS * TAPS; tap++) {
                const float *from = kernel + (tap * filters + n) * k + c;
                vector block[LANES];
                UNROLL
                for (int i = 0; i < LANES; i++) {
                    block[i] = load(from + i * k);
                    __builtin_prefetch(from + i * k + LINE);
                }
                transpose(block);
                UNROLL
                for (int i = 0; i < LANES; i++) store(space.small + tap * tap_step + i * LANES, block[i]);
            }
            for (long i = 0; i < LANES; i++)
                transposed_points(space.small + i * LANES, tap_step, space.kernels + (c + i) * PARTS * group + n, group,
                                  kernel_step);
        }
}

/* A transposed convolution of some tiles of the channels of one or two images, activated and then normalised. */
INLINE void convolve_transposed_tiles(const layer *own, const image *from, int images, tiles those, long filters,
                                      float *to, scratch space, const activation kind) {
    const int height = from->height, width = from->width;
    const long channels = from->channels, k = images * channels;
    const long group = filters < PANEL ? filters : PANEL, columns = PARTS * group;
    const long window_step = those.count * k + LINE, sum_step = those.count * columns + LINE;
    const long kernel_step = UP_SLICE * columns + LINE;
    for (long t = 0; t < those.count; t++)
        for (int each = 0; each < images; each++)
            tile_points(from[each], row_of(those, t) - 1, column_of(those, t) - 1, 1,
                        space.windows + t * k + each * channels, window_step, channels, 0, space.small);
    for (long filter = 0; filter < filters; filter += group) {
        for (long channel = 0; channel < k; channel += UP_SLICE) {
            slice_of_transposed(own->kernel + filter * k + channel, filters, k, group, space, kernel_step);
            for (int point = 0; point < ALL_POINTS; point++) {
                const range parts = parts_at(point, 1);
                const matrix windows = {space.windows + point * window_step + channel, k, 1, 0, UP_SLICE};
                for (long n = parts.first * group; n < (parts.first + parts.count) * group; n += PANEL)
                    product(those.count, windows, space.kernels + point * kernel_step + n, columns,
                            space.sums + point * sum_step + n, columns, channel > 0);
            }
        }
        for (long t = 0; t < those.count; t++)
            for (int each = 0; each < PARTS; each++)
                for (long n = 0; n < group; n += LANES) {
                    const int row = row_of(those, t), column = column_of(those, t);
                    const vector bias = load(own->bias + filter + n), scale = load(own->scale + filter + n);
                    const vector shift = load(own->shift + filter + n);
                    vector tile[TILE * TILE];
                    part_results(each, space.sums + t * columns + each * group + n, sum_step, tile);
                    for (int y = 0; y < TILE && row + y < height; y++)
                        for (int x = 0; x < TILE && column + x < width; x++) {
                            const long at = (2L * (row + y) + has_odd_rows(each)) * 2 * width + 2 * (column + x)
                                            + has_odd_columns(each);
                            store(to + at * filters + filter + n,
                                  activated(tile[y * TILE + x] + bias, kind) * scale + shift);
                        }
                }
    }
}

/* A transposed convolution; see `convolve_transposed_tiles`. */
INLINE void convolve_transposed(const layer *own, const image *from, int images, long filters, float *to,
                                scratch space, const activation kind) {
    const long all = tiles_of(from->height, from->width);
    tiles those = {0, 0, (from->width + TILE - 1) / TILE};
    for (; those.first < all; those.first += MAX_TILES) {
        those.count = all - those.first < MAX_TILES ? all - those.first : MAX_TILES;
        convolve_transposed_tiles(own, from, images, those, filters, to, space, kind);
    }
}

#endif
