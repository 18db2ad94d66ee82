/* Spleeter's networks on a CPU: the U-Net of Jansson et al., "Singing voice separation with deep U-Net convolutional
   networks" (ISMIR 2017), in Deezer's variant. models/graph.py describes the same network for ONNX Runtime.

   Spectrograms are (2, frames, 1024) values; `frames` is a multiple of 64. All memory is the caller's, and is aligned
   as single-precision numbers are. Nothing is shared: each thread may run a network of its own. */

#include "strided.h"

#define LAYERS 6
#define BINS 1024
#define CHANNELS 2
#define FILTERS 16 /* of the first layer; each further one has twice as many */
#define LAST_TAPS 4
#define MARGIN 3 /* pixels around the plane that the last layer sees: four taps, two apart */
#define PLANE_WIDTH (BINS + 2 * MARGIN + LANES)
#define STRIP (2 * LANES) /* bins of the last transposed convolution that are computed at a time */
#define STRIP_WIDTH (STRIP + LANES) /* with the bin before and the one behind, and room */

typedef struct {
    layer down[LAYERS], up[LAYERS];
    const float *kernel, *bias; /* of the last layer: (4, 4, 1, 2) */
    int is_elu;                 /* the activation, else leaky ReLU and ReLU */
} network;

/* What a run needs of the caller's memory. */
typedef struct {
    float *raw[LAYERS]; /* results of the encoder's layers */
    float *wide;        /* inputs and results of layers by turns: the largest is the last one of the decoder */
    float *narrow;      /* likewise; also the padded input, and the plane that the last layer sees */
    scratch layers;
} memory;

/* The input channels of the transposed layer that sees as many pixels as layer i gives: the deepest sees no skip. */
INLINE long channels_up(int i) { return ((long)FILTERS << i) * (i < LAYERS - 1 ? 2 : 1); }

INLINE long most(long a, long b) { return a > b ? a : b; }

/* Give each part of a run its place, and return the number of values. */
static long place(memory *own, float *at, int frames) {
    const long wide = (long)frames / 2 * BINS / 2 * FILTERS;
    const long narrow = (long)(frames + 2 * MARGIN) * (BINS + TAPS) * CHANNELS;
    const long padded = ALL_POINTS * (FILTERS << (LAYERS - 1));
    long values = 0, sums = 0, kernels = 0;
    long windows = 3 * 2 * FILTERS * STRIP_WIDTH; /* what the last transposed convolution needs */
#define PLACE(part, size) own->part = at ? at + values : 0, values += (size)
    for (int i = 0; i < LAYERS; i++) {
        const int height = frames >> (i + 1), width = BINS >> (i + 1);
        const long filters = (long)FILTERS << i;
        PLACE(raw[i], height * width * filters);
        if (i == 0) continue;
        /* The layer with this result, and the transposed one that has as many pixels before it. */
        const demand down = demand_of(height, width, filters / 2, filters, 0);
        const demand up = demand_of(height, width, channels_up(i), filters / 2, 1);
        windows = most(windows, most(down.windows, up.windows));
        kernels = most(kernels, most(down.kernels, up.kernels));
        sums = most(sums, most(down.sums, up.sums));
    }
    PLACE(wide, wide);
    PLACE(narrow, narrow);
    PLACE(layers.windows, windows);
    PLACE(layers.kernels, kernels);
    PLACE(layers.sums, sums);
    PLACE(layers.padded, padded);
#undef PLACE
    return values;
}

/* The first layer, of two channels: the five rows under a kernel are parts of a row of the product. */
INLINE void first_layer(const layer *own, const float *magnitude, int frames, float *padded, float *raw, float *next,
                        float *sums, const activation kind) {
    const long step = (BINS + TAPS) * CHANNELS, width = BINS / 2;
    memset(padded, 0, sizeof(float) * (frames + TAPS) * step);
    for (int y = 0; y < frames; y++) {
        const float *left = magnitude + (long)y * BINS, *right = left + (long)frames * BINS;
        float *to = padded + (y + 1) * step + CHANNELS;
        for (int x = 0; x < BINS; x++) to[CHANNELS * x] = left[x], to[CHANNELS * x + 1] = right[x];
    }
    for (int y = 0; y < frames / 2; y++, raw += width * FILTERS, next += width * FILTERS) {
        matrix rows = {padded + 2 * y * step, 2 * CHANNELS, TAPS, step, TAPS * CHANNELS};
#if PANEL > FILTERS /* twice as many rows of one vector each */
        long x = 0;
        for (; x + 2 * ROWS <= width; x += 2 * ROWS, rows.values += 2 * ROWS * rows.step)
            product_of(2 * ROWS, 1, rows, own->kernel, FILTERS, sums + x * FILTERS, FILTERS, 0);
        for (; x < width; x++, rows.values += rows.step)
            product_of(1, 1, rows, own->kernel, FILTERS, sums + x * FILTERS, FILTERS, 0);
#else
        for (long n = 0; n < FILTERS; n += PANEL)
            product(width, rows, own->kernel + n, FILTERS, sums + n, FILTERS, 0);
#endif
        for (long at = 0; at < width * FILTERS; at += LANES) {
            vector value = load(sums + at) + load(own->bias + at % FILTERS);
            store(raw + at, value);
            value = value * load(own->scale + at % FILTERS) + load(own->shift + at % FILTERS);
            store(next + at, activated(value, kind));
        }
    }
}

/* Some bins of a row of pixels, to a row of each of their channels, with the bin before them and the one behind. */
INLINE void by_channel(const float *pixels, long first, float *rows) {
    for (long x = 0; x < STRIP; x += LANES)
        for (long c = 0; c < FILTERS; c += LANES) {
            vector block[LANES];
            UNROLL
            for (int i = 0; i < LANES; i++) {
                const float *from = pixels + (first + x + i) * FILTERS + c;
                block[i] = load(from);
                __builtin_prefetch(from + BINS / 2 * FILTERS); /* of the next row */
            }
            transpose(block);
            UNROLL
            for (int i = 0; i < LANES; i++) store(rows + (c + i) * STRIP_WIDTH + 1 + x, block[i]);
        }
    for (long c = 0; c < FILTERS; c++) {
        rows[c * STRIP_WIDTH] = first ? pixels[(first - 1) * FILTERS + c] : 0;
        rows[c * STRIP_WIDTH + 1 + STRIP] = first + STRIP < BINS / 2 ? pixels[(first + STRIP) * FILTERS + c] : 0;
    }
}

/* Results of the last transposed convolution, for the bins of a strip and each part. */
INLINE void last_sums(const float *kernel, float *const *rows, vector *to) {
    vector sums[PARTS][2]; /* in registers */
    UNROLL
    for (int each = 0; each < PARTS; each++) sums[each][0] = sums[each][1] = splat(0);
    for (int c = 0; c < 2 * FILTERS; c++) {
        UNROLL
        for (int i = 0; i < 3; i++)
            UNROLL
            for (int j = 0; j < 3; j++) {
                const float *at = rows[i] + c * STRIP_WIDTH + j;
                const vector near = load(at), far = load(at + LANES);
                UNROLL
                for (int each = 0; each < PARTS; each++) {
                    const int row = (has_odd_rows(each) ? 4 : 3) - 2 * i;
                    const int column = (has_odd_columns(each) ? 4 : 3) - 2 * j;
                    if (row < 0 || column < 0) continue;
                    const float tap = kernel[(row * TAPS + column) * 2 * FILTERS + c];
                    sums[each][0] += near * tap, sums[each][1] += far * tap;
                }
            }
    }
    UNROLL
    for (int each = 0; each < PARTS; each++) to[2 * each] = sums[each][0], to[2 * each + 1] = sums[each][1];
}

/* The last transposed convolution, to one channel. The rows under a kernel stay in the first cache: strips of
   some bins are taken from the first frame to the last. */
INLINE void last_transposed(const layer *own, const float *skip, const float *from, int frames, float *plane,
                            float *space, const activation kind) {
    const long size = 2 * FILTERS * STRIP_WIDTH;
    const float bias = own->bias[0], scale = own->scale[0], shift = own->shift[0];
    float *rows[3] = {space, space + size, space + 2 * size}; /* the one above, this one, the one below */
    memset(plane, 0, sizeof(float) * (frames + 2 * MARGIN) * PLANE_WIDTH);
    for (long x = 0; x < BINS / 2; x += STRIP) {
        memset(space, 0, sizeof(float) * 3 * size);
        for (int y = -1; y < frames / 2; y++) {
            float *below = rows[0];
            rows[0] = rows[1], rows[1] = rows[2], rows[2] = below;
            if (y + 1 < frames / 2) {
                by_channel(skip + (long)(y + 1) * BINS / 2 * FILTERS, x, below);
                by_channel(from + (long)(y + 1) * BINS / 2 * FILTERS, x, below + FILTERS * STRIP_WIDTH);
            } else {
                memset(below, 0, sizeof(float) * size);
            }
            if (y < 0) continue;
            vector sums[2 * PARTS];
            last_sums(own->kernel, rows, sums);
            for (int odd = 0; odd < 2; odd++)
                for (int half = 0; half < 2; half++) {
                    vector low = activated(sums[2 * part_of(odd, 0) + half] + bias, kind) * scale + shift;
                    vector high = activated(sums[2 * part_of(odd, 1) + half] + bias, kind) * scale + shift;
                    float *to = plane + (2L * y + odd + MARGIN) * PLANE_WIDTH + MARGIN + 2 * (x + half * LANES);
                    interleave(&low, &high);
                    store(to, low), store(to + LANES, high);
                }
        }
    }
}

/* The last layer: 4 x 4 taps, two pixels apart. */
INLINE void last_layer(const network *own, const float *plane, int frames, float *logits) {
    for (int y = 0; y < frames; y++)
        for (int x = 0; x < BINS; x += LANES) {
            vector left = splat(own->bias[0]), right = splat(own->bias[1]);
            for (int tap = 0; tap < LAST_TAPS * LAST_TAPS; tap++) {
                const float *at = plane + (y + 2L * (tap / LAST_TAPS)) * PLANE_WIDTH + x + 2 * (tap % LAST_TAPS);
                left += load(at) * own->kernel[tap * CHANNELS];
                right += load(at) * own->kernel[tap * CHANNELS + 1];
            }
            store(logits + (long)y * BINS + x, left);
            store(logits + (long)(frames + y) * BINS + x, right);
        }
}

INLINE void run(const network *own, const float *magnitude, int frames, memory space, float *logits,
                const activation down, const activation up) {
    float *from = space.wide, *to = space.narrow;
    int height = frames / 2, width = BINS / 2;
    long filters = FILTERS;
    first_layer(own->down, magnitude, frames, to, space.raw[0], from, space.layers.windows, down);
    for (int i = 1; i < LAYERS; i++) {
        const image seen = {from, height, width, filters};
        height /= 2, width /= 2, filters *= 2;
        /* The decoder begins before the sixth normalisation. */
        convolve(own->down + i, seen, filters, space.raw[i], i < LAYERS - 1 ? to : 0, space.layers, down);
        float *last = from;
        from = to, to = last;
    }
    for (int i = 0; i < LAYERS - 1; i++) {
        const image seen[2] = {{space.raw[LAYERS - 1 - i], height, width, filters}, {from, height, width, filters}};
        filters /= 2;
        convolve_transposed(own->up + i, seen, i ? 2 : 1, filters, to, space.layers, up);
        height *= 2, width *= 2;
        float *last = from;
        from = to, to = last;
    }
    last_transposed(own->up + LAYERS - 1, space.raw[0], from, frames, to, space.layers.windows, up);
    last_layer(own, to, frames, logits);
}

/* The number of values that `unet_pack` writes. */
EXPORTED long unet_packed(void) {
    long values = 0;
    for (int i = 1; i < LAYERS; i++) {
        const long filters = (long)FILTERS << i;
        values += TAPS * TAPS * (filters / 2 * filters + channels_up(i) * filters / 2);
    }
    return values;
}

/* Pack the kernels of all layers but the first and the last ones into memory of the caller, which the network refers to
   from then on. */
EXPORTED void unet_pack(network *own, float *to) {
    for (int i = 1; i < LAYERS; i++) {
        const long filters = (long)FILTERS << i;
        layer *down = own->down + i, *up = own->up + LAYERS - 1 - i;
        pack_plain(down->kernel, filters / 2, filters, to);
        down->kernel = to, to += TAPS * TAPS * filters / 2 * filters;
        pack_transposed(up->kernel, channels_up(i), filters / 2, to);
        up->kernel = to, to += TAPS * TAPS * channels_up(i) * filters / 2;
    }
}

/* The number of values that `unet_run` needs as its memory. */
EXPORTED long unet_memory(int frames) {
    memory unused;
    return place(&unused, 0, frames);
}

/* One packed network's logits of a spectrogram, both (2, frames, 1024). */
EXPORTED void unet_run(const network *own, const float *magnitude, int frames, float *values, float *logits) {
    memory space;
    place(&space, values, frames);
    if (own->is_elu) run(own, magnitude, frames, space, logits, ELU, ELU);
    else run(own, magnitude, frames, space, logits, LEAKY_RELU, RELU);
}

/* Replace the logits of all networks by their shares (e^2 + epsilon / n) / (sum of e^2 + epsilon), where e is a
   network's estimate: the magnitude times the logit's sigmoid, or times the softmax over the networks. */
EXPORTED void unet_shares(float *const *logits, int networks, int is_softmax, const float *magnitude, long count,
                          float epsilon) {
    for (long i = 0; i < count; i += LANES) {
        vector all = splat(0), largest = load(logits[0] + i), squares = splat(0);
        for (int n = 1; n < networks; n++) largest = larger(largest, load(logits[n] + i));
        for (int n = 0; n < networks && is_softmax; n++) all += exponential(load(logits[n] + i) - largest);
        for (int n = 0; n < networks; n++) {
            const vector logit = load(logits[n] + i);
            const vector part = is_softmax ? exponential(logit - largest) / all : 1.0f / (1.0f + exponential(-logit));
            const vector estimate = part * load(magnitude + i);
            const vector square = estimate * estimate + epsilon / (float)networks;
            store(logits[n] + i, square);
            squares += square;
        }
        for (int n = 0; n < networks; n++) store(logits[n] + i, load(logits[n] + i) / squares);
    }
}
