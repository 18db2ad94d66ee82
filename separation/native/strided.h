/* Convolutions with kernels of 5 x 5 and stride 2, plain and transposed, by Winograd's F(4, 3).

   Along each dimension a plain one is a sum of two convolutions with stride 1: taps 1 and 3 on the even pixels,
   taps 0, 2 and 4 on the odd ones. A transposed one is two convolutions, taps 3 and 1 for the even results, and
   4, 2 and 0 for the odd ones. So both consist of four parts of at most 3 x 3 taps, whose windows lie alike. */

#ifndef STRIDED_H
#define STRIDED_H

#include <string.h>

#include "product.h"
#include "winograd.h"

#define TAPS 5
/* In this order, those with odd rows, those with odd columns, and those with both, lie beside each other. */
enum { EVEN_EVEN, EVEN_ODD, ODD_ODD, ODD_EVEN, PARTS };
#define PANEL (2 * LANES) /* columns of a product */
#define SLICE 16 /* channels of a source whose kernels are transformed at once */
#define AHEAD 8 /* channels whose kernels are fetched before they are needed */
#define UP_SLICE 32 /* the same for a transposed convolution */
#define MOST_TILES 96
#define LINE 16 /* of the cache, in values. Points are an odd number of lines apart, so that they do not compete for
                   the same places in the cache. */

typedef enum { LEAKY_RELU, RELU, ELU } activation;

/* Layers hold pixels row by row, each with its channels beside each other. */
typedef struct {
    const float *pixels;
    int height, width;
    long channels;
} image;

/* What a layer does. Kernels lie as in Spleeter's checkpoints: (5, 5, in, out), transposed (5, 5, out, in). */
typedef struct {
    const float *kernel, *bias;
    const float *scale, *shift; /* of the normalisation */
} layer;

INLINE vector activated(vector value, const activation kind) {
    if (kind == LEAKY_RELU) return larger(value, value * 0.2f);
    if (kind == RELU) return larger(value, splat(0));
    return larger(value, exponential(smaller(value, splat(0))) - 1.0f);
}

INLINE int part_of(const int odd_row, const int odd_column) {
    return odd_row ? (odd_column ? ODD_ODD : ODD_EVEN) : (odd_column ? EVEN_ODD : EVEN_EVEN);
}

INLINE int has_odd_rows(const int part) { return part >= ODD_ODD; }

INLINE int has_odd_columns(const int part) { return part == EVEN_ODD || part == ODD_ODD; }

/* The parts that do not vanish at a point: parts with even rows or columns have two taps there, and no value at
   one end. */
typedef struct {
    int first, count;
} range;

INLINE range parts_at(int point, const int missing) {
    int row = point / POINTS == missing, column = point % POINTS == missing;
    if (row) return (range){ODD_ODD, column ? 1 : 2};
    return column ? (range){EVEN_ODD, 2} : (range){0, PARTS};
}

/* Transform a column of five taps to six values of the even part and six of the odd part, `step` apart. */
INLINE void even_and_odd(const vector *taps, vector *to, const int step, const int transposed) {
    if (transposed) {
        kernel_points(taps[3], taps[1], splat(0), to, step);
        kernel_points(taps[4], taps[2], taps[0], to + POINTS * step, step);
    } else {
        kernel_points(splat(0), taps[1], taps[3], to, step);
        kernel_points(taps[0], taps[2], taps[4], to + POINTS * step, step);
    }
}

/* Transform kernels of 5 x 5 taps that lie `tap_step` apart: to[part * part_step + point * point_step]. */
INLINE void all_points(const float *taps, long tap_step, long ahead, float *to, long part_step, long point_step,
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

/* Transform the windows of a tile for all channels; channel c of it goes to `to + c / SLICE * slice_step
   + c % SLICE`. Pixels outside of the image are zero. */
INLINE void tile_points(image from, int row, int column, const int stride, float *to, long point_step,
                        long slice_step, float *padded) {
    long channels = from.channels, row_step = (long)from.width * channels * stride, column_step = channels * stride;
    const float *window = from.pixels + ((long)row * from.width + column) * channels;
    int last_row = row + (POINTS - 1) * stride, last_column = column + (POINTS - 1) * stride;
    if (row < 0 || column < 0 || last_row >= from.height || last_column >= from.width) {
        for (int y = 0; y < POINTS; y++)
            for (int x = 0; x < POINTS; x++) {
                int at_row = row + y * stride, at_column = column + x * stride;
                float *pixel = padded + (y * POINTS + x) * channels;
                if (at_row < 0 || at_column < 0 || at_row >= from.height || at_column >= from.width)
                    memset(pixel, 0, sizeof(float) * channels);
                else
                    memcpy(pixel, from.pixels + ((long)at_row * from.width + at_column) * channels,
                           sizeof(float) * channels);
            }
        window = padded, row_step = POINTS * channels, column_step = channels;
    }
    for (long c = 0; c < channels; c += LANES)
        window_points(window + c, row_step, column_step, to + c / SLICE * slice_step + c % SLICE, point_step);
}

/* A layer's scratch: windows (points, tiles, k), kernels (points, parts or panels, k of a slice, PANEL), sums
   (points, tiles, columns of all parts), and what single steps need. */
typedef struct {
    float *windows, *kernels, *sums, *small;
} scratch;

/* A plain convolution. `raw` is what the decoder sees later; `next`, unless it is null, what the next layer
   sees: normalised and activated. */
INLINE void convolve(const layer *own, image from, long filters, float *raw, float *next, scratch space,
                     long most_tiles, const activation kind) {
    const int height = from.height / 2, width = from.width / 2;
    const int across = (width + TILE - 1) / TILE;
    const long all = (long)((height + TILE - 1) / TILE) * across, channels = from.channels, k = PARTS * channels;
    const long kernel_step = PARTS * SLICE * PANEL + LINE;
    for (long first = 0; first < all; first += most_tiles) {
        const long tiles = all - first < most_tiles ? all - first : most_tiles;
        const long window_step = tiles * k + LINE, sum_step = tiles * PANEL + LINE;
        for (long t = 0; t < tiles; t++) {
            int row = (int)((first + t) / across) * TILE, column = (int)((first + t) % across) * TILE;
            for (int part = 0; part < PARTS; part++)
                tile_points(from, 2 * (row - 1) + has_odd_rows(part), 2 * (column - 1) + has_odd_columns(part), 2,
                            space.windows + t * k + part * SLICE, window_step, PARTS * SLICE, space.small);
        }
        for (long filter = 0; filter < filters; filter += PANEL) {
            for (long channel = 0; channel < channels; channel += SLICE) {
                for (long c = 0; c < SLICE; c++)
                    for (long n = 0; n < PANEL; n += LANES)
                        all_points(own->kernel + (channel + c) * filters + filter + n, channels * filters, AHEAD * filters,
                                   space.kernels + c * PANEL + n, SLICE * PANEL, kernel_step, 0);
                for (int point = 0; point < ALL_POINTS; point++) {
                    range parts = parts_at(point, 0);
                    long skipped = parts.first * SLICE;
                    matrix windows = {space.windows + point * window_step + channel * PARTS + skipped, k, 1, 0,
                                      parts.count * SLICE};
                    product(tiles, windows, space.kernels + point * kernel_step + skipped * PANEL, PANEL,
                            space.sums + point * sum_step, PANEL, channel > 0);
                }
            }
            for (long t = 0; t < tiles; t++)
                for (long n = 0; n < PANEL; n += LANES) {
                    vector tile[TILE * TILE];
                    int row = (int)((first + t) / across) * TILE, column = (int)((first + t) % across) * TILE;
                    vector bias = load(own->bias + filter + n);
                    tile_results(space.sums + t * PANEL + n, sum_step, POINTS, POINTS, tile);
                    for (int y = 0; y < TILE && row + y < height; y++)
                        for (int x = 0; x < TILE && column + x < width; x++) {
                            long at = ((long)(row + y) * width + column + x) * filters + filter + n;
                            vector value = tile[y * TILE + x] + bias;
                            store(raw + at, value);
                            if (next)
                                store(next + at, activated(value * load(own->scale + filter + n)
                                                               + load(own->shift + filter + n), kind));
                        }
                }
        }
    }
}

/* The results of one part of a transposed convolution. */
INLINE void part_results(int part, const float *sums, long step, vector *tile) {
    switch (part) {
    case EVEN_EVEN: tile_results(sums, step, POINTS - 1, POINTS - 1, tile); break;
    case EVEN_ODD: tile_results(sums, step, POINTS - 1, POINTS, tile); break;
    case ODD_ODD: tile_results(sums, step, POINTS, POINTS, tile); break;
    case ODD_EVEN: tile_results(sums, step, POINTS, POINTS - 1, tile); break;
    }
}

/* A transposed convolution of the channels of one or two images, activated and then normalised. */
INLINE void convolve_transposed(const layer *own, const image *from, int sources, long filters, float *to,
                                scratch space, long most_tiles, const activation kind) {
    const int height = from->height, width = from->width;
    const int across = (width + TILE - 1) / TILE;
    const long all = (long)((height + TILE - 1) / TILE) * across, k = sources * from->channels;
    const long group = filters < PANEL ? filters : PANEL, columns = PARTS * group;
    const long tap_step = LANES * LANES + LINE, kernel_step = UP_SLICE * columns + LINE;
    for (long first = 0; first < all; first += most_tiles) {
        const long tiles = all - first < most_tiles ? all - first : most_tiles;
        const long window_step = tiles * k + LINE, sum_step = tiles * columns + LINE;
        for (long t = 0; t < tiles; t++) {
            int row = (int)((first + t) / across) * TILE, column = (int)((first + t) % across) * TILE;
            for (int source = 0; source < sources; source++)
                tile_points(from[source], row - 1, column - 1, 1,
                            space.windows + t * k + source * from->channels, window_step, SLICE, space.small);
        }
        for (long filter = 0; filter < filters; filter += group) {
            for (long channel = 0; channel < k; channel += UP_SLICE) {
                for (long n = 0; n < group; n += LANES)
                    for (long c = 0; c < UP_SLICE; c += LANES) {
                        const float *kernel = own->kernel + (filter + n) * k + channel + c;
                        for (int tap = 0; tap < TAPS * TAPS; tap++) {
                            vector block[LANES];
                            UNROLL
                            for (int i = 0; i < LANES; i++) {
                                block[i] = load(kernel + (tap * filters + i) * k);
                                __builtin_prefetch(kernel + (tap * filters + i) * k + LINE);
                            }
                            transpose(block);
                            UNROLL
                            for (int i = 0; i < LANES; i++) store(space.small + tap * tap_step + i * LANES, block[i]);
                        }
                        for (long i = 0; i < LANES; i++)
                            all_points(space.small + i * LANES, tap_step, 0, space.kernels + (c + i) * columns + n,
                                       group, kernel_step, 1);
                    }
                for (int point = 0; point < ALL_POINTS; point++) {
                    range parts = parts_at(point, POINTS - 1);
                    long first_column = parts.first * group, last_column = first_column + parts.count * group;
                    for (long column = first_column; column < last_column; column += PANEL) {
                        matrix windows = {space.windows + point * window_step + channel, k, 1, 0, UP_SLICE};
                        product(tiles, windows, space.kernels + point * kernel_step + column, columns,
                                space.sums + point * sum_step + column, columns, channel > 0);
                    }
                }
            }
            for (long t = 0; t < tiles; t++)
                for (int part = 0; part < PARTS; part++)
                    for (long n = 0; n < group; n += LANES) {
                        vector tile[TILE * TILE], bias = load(own->bias + filter + n);
                        vector scale = load(own->scale + filter + n), shift = load(own->shift + filter + n);
                        int row = (int)((first + t) / across) * TILE, column = (int)((first + t) % across) * TILE;
                        part_results(part, space.sums + t * columns + part * group + n, sum_step, tile);
                        for (int y = 0; y < TILE && row + y < height; y++)
                            for (int x = 0; x < TILE && column + x < width; x++) {
                                long at = (2L * (row + y) + has_odd_rows(part)) * 2 * width + 2 * (column + x) + has_odd_columns(part);
                                store(to + at * filters + filter + n,
                                      activated(tile[y * TILE + x] + bias, kind) * scale + shift);
                            }
                    }
        }
    }
}

#endif
