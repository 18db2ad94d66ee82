/* Spleeter's network of one instrument on a CPU: the U-Net of Jansson et al., "Singing voice separation with
   deep U-Net convolutional networks" (ISMIR 2017), in Deezer's variant. See models/graph.py, which describes
   the same network for ONNX Runtime. */

#include "strided.h"

#define LAYERS 6
#define BINS 1024
#define CHANNELS 2
#define FILTERS 16 /* of the first layer; each further one has twice as many */
#define LAST_TAPS 4
#define LAST_MARGIN 3 /* pixels around the input of the last layer: four taps, two apart */

typedef struct {
    layer down[LAYERS], up[LAYERS];
    const float *kernel, *bias; /* of the last layer */
} network;

/* The plane before the last layer, with its margin. */
#define PLANE_WIDTH (BINS + 2 * LAST_MARGIN + LANES)
/* A row of pixels by channel, with room before and behind. */
#define ROW_WIDTH (BINS / 2 + 2 * LANES)

/* The first layer, of two channels. The rows under a kernel are parts of a row of the product. */
INLINE void first_layer(const layer *own, const float *magnitude, int frames, float *padded, float *raw,
                        float *next, float *sums, const activation kind) {
    const long row = (BINS + TAPS) * CHANNELS, width = BINS / 2;
    memset(padded, 0, sizeof(float) * (frames + TAPS) * row);
    for (int y = 0; y < frames; y++) {
        const float *left = magnitude + (long)y * BINS, *right = left + (long)frames * BINS;
        float *to = padded + (y + 1) * row + CHANNELS;
        for (int x = 0; x < BINS; x++) to[CHANNELS * x] = left[x], to[CHANNELS * x + 1] = right[x];
    }
    for (int y = 0; y < frames / 2; y++) {
        matrix rows = {padded + 2 * y * row, 2 * CHANNELS, TAPS, row, TAPS * CHANNELS};
#if PANEL > FILTERS
        for (long x = 0; x < width; x += 2 * ROWS, rows.values += 2 * ROWS * rows.step) {
            if (width - x >= 2 * ROWS)
                product_of(2 * ROWS, 1, rows, own->kernel, FILTERS, sums + x * FILTERS, FILTERS, 0);
            else
                for (long left = x; left < width; left++, rows.values += rows.step)
                    product_of(1, 1, rows, own->kernel, FILTERS, sums + left * FILTERS, FILTERS, 0);
        }
#else
        for (long n = 0; n < FILTERS; n += PANEL)
            product(width, rows, own->kernel + n, FILTERS, sums + n, FILTERS, 0);
#endif
        for (long at = 0; at < width * FILTERS; at += LANES) {
            vector value = load(sums + at) + load(own->bias + at % FILTERS);
            store(raw + y * width * FILTERS + at, value);
            value = value * load(own->scale + at % FILTERS) + load(own->shift + at % FILTERS);
            store(next + y * width * FILTERS + at, activated(value, kind));
        }
    }
}

/* Bring a row of pixels of FILTERS channels to rows of channels. */
INLINE void by_channel(const float *pixels, float *rows) {
    for (long x = 0; x < BINS / 2; x += LANES)
        for (long c = 0; c < FILTERS; c += LANES) {
            vector block[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) block[i] = load(pixels + (x + i) * FILTERS + c);
            transpose(block);
            UNROLL
            for (int i = 0; i < LANES; i++) store(rows + (c + i) * ROW_WIDTH + LANES + x, block[i]);
        }
}

/* The last transposed convolution, to one channel: neighbouring bins fill the vectors. */
INLINE void last_transposed(const layer *own, const float *skip, const float *from, int frames, float *plane,
                            float *space, const activation kind) {
    const int sources = 2 * FILTERS, height = frames / 2;
    float *rows[3]; /* the one above, this one, the one below */
    memset(plane, 0, sizeof(float) * (frames + 2 * LAST_MARGIN) * PLANE_WIDTH);
    memset(space, 0, sizeof(float) * 3 * sources * ROW_WIDTH);
    for (int i = 0; i < 3; i++) rows[i] = space + i * sources * ROW_WIDTH;
    for (int y = -1; y < height; y++) {
        float *below = rows[0];
        rows[0] = rows[1], rows[1] = rows[2], rows[2] = below;
        if (y + 1 < height) {
            by_channel(skip + (long)(y + 1) * BINS / 2 * FILTERS, below);
            by_channel(from + (long)(y + 1) * BINS / 2 * FILTERS, below + FILTERS * ROW_WIDTH);
        } else {
            memset(below, 0, sizeof(float) * sources * ROW_WIDTH);
        }
        if (y < 0) continue;
        for (long x = 0; x < BINS / 2; x += 2 * LANES) {
            vector sums[2][PARTS];
            UNROLL
            for (int i = 0; i < 2 * PARTS; i++) sums[i / PARTS][i % PARTS] = splat(0);
            for (int c = 0; c < sources; c++) {
                UNROLL
                for (int i = 0; i < 3; i++)
                    UNROLL
                    for (int j = 0; j < 3; j++) {
                        const float *at = rows[i] + c * ROW_WIDTH + LANES + x + j - 1;
                        vector near = load(at), far = load(at + LANES);
                        UNROLL
                        for (int part = 0; part < PARTS; part++) {
                            /* Even results: taps 3 and 1 of this pixel and the one before; odd: 4, 2, 0. */
                            const int row_tap = (has_odd_rows(part) ? 4 : 3) - 2 * i;
                            const int column_tap = (has_odd_columns(part) ? 4 : 3) - 2 * j;
                            if (row_tap < 0 || column_tap < 0) continue;
                            const float tap = own->kernel[(row_tap * TAPS + column_tap) * sources + c];
                            sums[0][part] += near * tap, sums[1][part] += far * tap;
                        }
                    }
            }
            for (int half = 0; half < 2; half++)
                for (int part = 0; part < PARTS; part++) {
                    vector value = activated(sums[half][part] + own->bias[0], kind);
                    float *to = plane + (2L * y + has_odd_rows(part) + LAST_MARGIN) * PLANE_WIDTH + LAST_MARGIN
                                + 2 * (x + half * LANES) + has_odd_columns(part);
                    value = value * own->scale[0] + own->shift[0];
                    for (int k = 0; k < LANES; k++) to[2 * k] = value[k];
                }
        }
    }
}

/* The last layer: 4 x 4 taps, two apart. */
INLINE void last_layer(const network *own, const float *plane, int frames, float *logits) {
    for (int y = 0; y < frames; y++)
        for (int x = 0; x < BINS; x += LANES) {
            vector left = splat(own->bias[0]), right = splat(own->bias[1]);
            for (int tap = 0; tap < LAST_TAPS * LAST_TAPS; tap++) {
                vector value = load(plane + (y + 2L * (tap / LAST_TAPS)) * PLANE_WIDTH + x + 2 * (tap % LAST_TAPS));
                left += value * own->kernel[tap * CHANNELS];
                right += value * own->kernel[tap * CHANNELS + 1];
            }
            store(logits + (long)y * BINS + x, left);
            store(logits + (long)(frames + y) * BINS + x, right);
        }
}
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
double unet_times[20];
long unet_tiles[12] = {0, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48};
#define STAMP t1 = now(), unet_times[z++] += t1 - t0, t0 = t1;

INLINE void run(const network *own, const float *magnitude, int frames, float *space, float *logits,
                const activation down, const activation up) {
    double t0 = now(), t1; int z = 0;
    float *raw[LAYERS], *one, *two;
    int height = frames, width = BINS;
    long filters = FILTERS;
    for (int i = 0; i < LAYERS; i++, filters *= 2) {
        height /= 2, width /= 2;
        raw[i] = space, space += height * width * filters;
    }
    one = space, space += (long)frames / 2 * BINS / 2 * FILTERS;
    two = space, space += (long)(frames + 2 * LAST_MARGIN) * (BINS + TAPS) * CHANNELS;
    scratch work = {space, space + ALL_POINTS * (MOST_TILES * 1024L + LINE), 0, 0};
    work.sums = work.kernels + ALL_POINTS * (PARTS * UP_SLICE * PANEL + LINE);
    work.small = work.sums + ALL_POINTS * (MOST_TILES * PARTS * PANEL + LINE);
    first_layer(own->down, magnitude, frames, two, raw[0], one, work.windows, down);
    STAMP
    height = frames / 2, width = BINS / 2, filters = FILTERS;
    for (int i = 1; i < LAYERS; i++) {
        image from = {one, height, width, filters};
        convolve(own->down + i, from, 2 * filters, raw[i], i < LAYERS - 1 ? two : 0, work, unet_tiles[i], down);
        height /= 2, width /= 2, filters *= 2;
        float *swap = one; one = two, two = swap;
        STAMP
    }
    for (int i = 0; i < LAYERS - 1; i++) {
        image from[2] = {{i ? raw[LAYERS - 1 - i] : raw[LAYERS - 1], height, width, filters}, {one, height, width, filters}};
        convolve_transposed(own->up + i, from, i ? 2 : 1, filters / 2, two, work, unet_tiles[6 + i], up);
        height *= 2, width *= 2, filters /= 2;
        float *swap = one; one = two, two = swap;
        STAMP
    }
    last_transposed(own->up + LAYERS - 1, raw[0], one, frames, two, work.windows, up);
    STAMP
    last_layer(own, two, frames, logits);
    STAMP
}

void unet_run(const network *own, int elu, const float *magnitude, int frames, float *space, float *logits) {
    if (elu) run(own, magnitude, frames, space, logits, ELU, ELU);
    else run(own, magnitude, frames, space, logits, LEAKY_RELU, RELU);
}
/* Sigmoid estimates squared plus floor, in place */
void unet_powers(const float *magnitude, float *out, long count, float floor) {
  for (long i = 0; i < count; i += LANES) {
    vector e = load(magnitude + i) / (1.0f + exponential(-load(out + i)));
    store(out + i, e * e + floor);
  }
}
int unet_lanes(void) { return LANES; }
