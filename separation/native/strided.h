/* Convolutions with kernels of 5 x 5 and stride 2, plain and transposed, by Winograd's F(4, 3).

   Along each dimension a plain one is a sum of two convolutions with stride 1: taps 1 and 3 on the even pixels,
   taps 0, 2 and 4 on the odd ones. A transposed one is two convolutions with stride 1: taps 3 and 1 give the even
   results, taps 4, 2 and 0 the odd ones. So both consist of four parts of at most 3 x 3 taps, which see the same
   windows of pixels.

   Some tiles at a time are taken from their windows to their results, a slice of the input channels after the
   other. Kernels are transformed slice by slice when they are needed: transformed ones are five times as many, and
   reading those of large layers would take longer. Those of small layers are kept for all tiles of a run. */

#ifndef STRIDED_H
#define STRIDED_H

#include <string.h>

#include "kernels.h"
#include "product.h"

#define MAX_TILES 64 /* at a time */
#define FEW_TILES 12 /* likewise where transformed kernels are kept: all values of these tiles fit into a cache */
#define MOST_KEPT_KERNELS 4096

typedef enum { LEAKY_RELU, RELU, ELU } activation;

/* Pixels row by row, each with its channels beside each other. */
typedef struct {
    const float *pixels;
    int height, width;
    long channels;
} image;

/* The weights of a layer. Kernels lie as in Spleeter's checkpoints, (5, 5, in, out) and, transposed, (5, 5, out, in),
   or are packed. The normalisation is a scale and a shift. */
typedef struct {
    const float *kernel, *bias, *scale, *shift;
} layer;

/* Memory of a thread; `place` in unet.c knows the sizes. */
typedef struct {
    float *windows; /* (points, tiles, input channels of all parts) */
    float *kernels; /* (slices that are kept, points, parts and input channels, filters of a panel), the last three
                       in either order */
    float *sums;    /* (points, tiles, filters of a panel, for a transposed convolution of all parts) */
    float *padded;  /* the window of a tile at an edge */
} scratch;

/* The tiles that are computed at a time. */
typedef struct {
    long first, count;
    int across;       /* tiles in a row of them */
    int keep_kernels; /* those transformed for the first tiles are kept for the others */
} tiles;

INLINE int row_of(tiles those, long number) { return (int)((those.first + number) / those.across) * TILE; }

INLINE int column_of(tiles those, long number) { return (int)((those.first + number) % those.across) * TILE; }

INLINE long tiles_of(int height, int width) {
    return (long)((height + TILE - 1) / TILE) * ((width + TILE - 1) / TILE);
}

/* The first of `all` tiles. */
INLINE tiles first_tiles(long all, int width, long kernels) {
    const int keep = all > MAX_TILES && kernels <= MOST_KEPT_KERNELS;
    const long most = keep ? FEW_TILES : MAX_TILES;
    return (tiles){0, all < most ? all : most, (width + TILE - 1) / TILE, keep};
}

INLINE tiles next_tiles(tiles those, long all) {
    those.first += those.count;
    if (all - those.first < those.count) those.count = all - those.first;
    return those;
}

/* The values of scratch memory that a layer needs. */
typedef struct {
    long windows, kernels, sums;
} demand;

/* Of a plain convolution to `height` x `width` pixels, or a transposed one of as many. */
INLINE demand demand_of(int height, int width, long channels, long filters, const int transposed) {
    const tiles first = first_tiles(tiles_of(height, width), width, channels * filters);
    const long group = panel_of(filters), slice = transposed ? UP_SLICE : DOWN_SLICE;
    const long slices = first.keep_kernels ? channels / slice * (filters / group) : 1;
    return (demand){
        .windows = ALL_POINTS * (first.count * (transposed ? 1 : PARTS) * channels + LINE),
        .kernels = ALL_POINTS * slices * (slice * PARTS * group + LINE),
        .sums = ALL_POINTS * (first.count * (transposed ? PARTS : 1) * group + LINE),
    };
}

INLINE vector activated(vector value, const activation kind) {
    if (kind == LEAKY_RELU) return larger(value, value * 0.2f);
    if (kind == RELU) return larger(splat(0), value);
    return larger(exponential(smaller(splat(0), value)) - 1.0f, value);
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
                        space.padded);
    float *kernels = space.kernels;
    for (long filter = 0; filter < filters; filter += PANEL) {
        for (long channel = 0; channel < from.channels; channel += DOWN_SLICE) {
            if (those.first == 0 || !those.keep_kernels)
                plain_points(slice_of(own->kernel, filter, channel, from.channels, filters), kernels, kernel_step);
            for (int point = 0; point < ALL_POINTS; point++) {
                range parts = parts_at(point, 0);
                long skipped = parts.first * DOWN_SLICE;
                matrix windows = {space.windows + point * window_step + channel * PARTS + skipped, k, 1, 0,
                                  parts.count * DOWN_SLICE};
                product(those.count, windows, kernels + point * kernel_step + skipped * PANEL, PANEL,
                        space.sums + point * sum_step, PANEL, channel > 0);
            }
            if (those.keep_kernels) kernels += ALL_POINTS * kernel_step;
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
    for (tiles those = first_tiles(all, from.width / 2, from.channels * filters); those.count;
         those = next_tiles(those, all))
        convolve_tiles(own, from, those, filters, raw, next, space, kind);
}

/* A transposed convolution of some tiles of the channels of one or two images, activated and then normalised. */
INLINE void convolve_transposed_tiles(const layer *own, const image *from, int images, tiles those, long filters,
                                      float *to, scratch space, const activation kind) {
    const int height = from->height, width = from->width;
    const long channels = from->channels, k = images * channels;
    const long group = panel_of(filters), columns = PARTS * group;
    const long window_step = those.count * k + LINE, sum_step = those.count * columns + LINE;
    const long kernel_step = UP_SLICE * columns + LINE;
    for (long t = 0; t < those.count; t++)
        for (int each = 0; each < images; each++)
            tile_points(from[each], row_of(those, t) - 1, column_of(those, t) - 1, 1,
                        space.windows + t * k + each * channels, window_step, channels, 0, space.padded);
    float *kernels = space.kernels;
    for (long filter = 0; filter < filters; filter += group) {
        for (long channel = 0; channel < k; channel += UP_SLICE) {
            if (those.first == 0 || !those.keep_kernels)
                transposed_points(slice_of(own->kernel, filter, channel, k, filters), group, kernels, kernel_step);
            for (int point = 0; point < ALL_POINTS; point++) {
                const range parts = parts_at(point, 1);
                const matrix windows = {space.windows + point * window_step + channel, k, 1, 0, UP_SLICE};
                for (long n = parts.first * group; n < (parts.first + parts.count) * group; n += PANEL)
                    product(those.count, windows, kernels + point * kernel_step + n, columns,
                            space.sums + point * sum_step + n, columns, channel > 0);
            }
            if (those.keep_kernels) kernels += ALL_POINTS * kernel_step;
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
    for (tiles those = first_tiles(all, from->width, images * from->channels * filters); those.count;
         those = next_tiles(those, all))
        convolve_transposed_tiles(own, from, images, those, filters, to, space, kind);
}

#endif
