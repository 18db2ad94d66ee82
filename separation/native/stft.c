/* The short-time Fourier transform of Spleeter, and the way back under a mask: what separation/stft.py does, for
   segments whose samples of both channels lie beside each other.

   A frame of 4096 real numbers is a Fourier transform of 2048 complex ones, the even samples beside the odd ones, in
   three passes that fit into the processor's first cache (Stockham's, with the radices 16, 16 and 8). A transform is
   inverted by exchanging real and imaginary parts. */

#include "vectors.h"

#include <math.h>

#define FRAME 4096
#define HOP 1024
#define CHANNELS 2
#define BINS 1024  /* that the networks see */
#define SIZE 2048  /* of the complex transform */
#define FIRST 16   /* radix of the first two passes */
#define COLUMNS (SIZE / FIRST)  /* of the first pass, and the numbers that each of the parts after it has */
#define LAST 8     /* radix of the last pass */

/* What is computed once, by stft_prepare. */
typedef struct {
    float analysis[FRAME];                /* the window before the transform */
    float synthesis[FRAME];               /* the window after the inverse, which also scales it */
    float both[FRAME];                    /* what both windows leave of a sample */
    float turn_re[BINS], turn_im[BINS];   /* half of 1 + i e^(2 pi i k / FRAME), from complex to real transforms */
    float first_re[FIRST][COLUMNS], first_im[FIRST][COLUMNS]; /* twiddle factors of the first pass */
    float next_re[LAST][FIRST], next_im[LAST][FIRST];         /* likewise of the second one */
} tables;

typedef struct {
    vector re, im;
} numbers;

typedef struct {
    float re[SIZE + LANES], im[SIZE + LANES];
} spectrum;

INLINE numbers times(numbers a, vector re, vector im) {
    return (numbers){a.re * re - a.im * im, a.re * im + a.im * re};
}

INLINE numbers sum(numbers a, numbers b) { return (numbers){a.re + b.re, a.im + b.im}; }

INLINE numbers difference(numbers a, numbers b) { return (numbers){a.re - b.re, a.im - b.im}; }

/* The Fourier transform of four numbers, in their place. */
INLINE void transform4(numbers *a, numbers *b, numbers *c, numbers *d) {
    const numbers even = sum(*a, *c), odd = sum(*b, *d), left = difference(*a, *c), right = difference(*b, *d);
    *a = sum(even, odd), *c = difference(even, odd);
    *b = (numbers){left.re + right.im, left.im - right.re};
    *d = (numbers){left.re - right.im, left.im + right.re};
}

/* That of 16 numbers: number j of the result is at 4 * (j % 4) + j / 4. */
INLINE void transform16(numbers *values) {
    const float c1 = 0.92387953251128674f, c2 = 0.70710678118654752f, c3 = 0.38268343236508977f; /* of 1/16 turns */
    UNROLL
    for (int i = 0; i < 4; i++) transform4(values + i, values + i + 4, values + i + 8, values + i + 12);
    values[5] = times(values[5], splat(c1), splat(-c3));
    values[6] = times(values[6], splat(c2), splat(-c2));
    values[7] = times(values[7], splat(c3), splat(-c1));
    values[9] = times(values[9], splat(c2), splat(-c2));
    values[10] = (numbers){values[10].im, -values[10].re};
    values[11] = times(values[11], splat(-c2), splat(-c2));
    values[13] = times(values[13], splat(c3), splat(-c1));
    values[14] = times(values[14], splat(-c2), splat(-c2));
    values[15] = times(values[15], splat(-c1), splat(c3));
    UNROLL
    for (int i = 0; i < 16; i += 4) transform4(values + i, values + i + 1, values + i + 2, values + i + 3);
}

/* That of eight numbers, in their order. */
INLINE void transform8(numbers *values) {
    const float c = 0.70710678118654752f;
    UNROLL
    for (int i = 0; i < 2; i++) transform4(values + i, values + i + 2, values + i + 4, values + i + 6);
    values[3] = times(values[3], splat(c), splat(-c));
    values[5] = (numbers){values[5].im, -values[5].re};
    values[7] = times(values[7], splat(-c), splat(-c));
    numbers result[8];
    UNROLL
    for (int i = 0; i < 4; i++) {
        result[i] = sum(values[2 * i], values[2 * i + 1]);
        result[i + 4] = difference(values[2 * i], values[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i++) values[i] = result[i];
}

/* Transform SIZE numbers; the result is in `to`, and `from` is overwritten. */
APART void transform(const tables *known, float *from_re, float *from_im, float *to_re, float *to_im) {
    numbers values[FIRST];
    for (int p = 0; p < COLUMNS; p += LANES) {
        UNROLL
        for (int k = 0; k < FIRST; k++)
            values[k] = (numbers){load(from_re + p + COLUMNS * k), load(from_im + p + COLUMNS * k)};
        transform16(values);
        vector re[FIRST], im[FIRST];
        UNROLL
        for (int j = 0; j < FIRST; j++) {
            const numbers turned = times(values[4 * (j % 4) + j / 4], load(known->first_re[j] + p),
                                         load(known->first_im[j] + p));
            re[j] = turned.re, im[j] = turned.im;
        }
        UNROLL
        for (int j = 0; j < FIRST; j += LANES) {
            transpose(re + j), transpose(im + j);
            UNROLL
            for (int row = 0; row < LANES; row++) {
                store(to_re + FIRST * (p + row) + j, re[j + row]);
                store(to_im + FIRST * (p + row) + j, im[j + row]);
            }
        }
    }
    for (int p = 0; p < LAST; p++)
        for (int q = 0; q < FIRST; q += LANES) {
            UNROLL
            for (int k = 0; k < FIRST; k++) {
                const int at = q + FIRST * (p + LAST * k);
                values[k] = (numbers){load(to_re + at), load(to_im + at)};
            }
            transform16(values);
            UNROLL
            for (int j = 0; j < FIRST; j++) {
                const numbers turned = times(values[4 * (j % 4) + j / 4], splat(known->next_re[p][j]),
                                             splat(known->next_im[p][j]));
                const int at = q + FIRST * (FIRST * p + j);
                store(from_re + at, turned.re), store(from_im + at, turned.im);
            }
        }
    for (int q = 0; q < SIZE / LAST; q += LANES) {
        UNROLL
        for (int k = 0; k < LAST; k++)
            values[k] = (numbers){load(from_re + q + SIZE / LAST * k), load(from_im + q + SIZE / LAST * k)};
        transform8(values);
        UNROLL
        for (int j = 0; j < LAST; j++) {
            store(to_re + q + SIZE / LAST * j, values[j].re);
            store(to_im + q + SIZE / LAST * j, values[j].im);
        }
    }
}

/* The samples of 2 * LANES moments: LANES of the left channel and of the right one, then the next of both. */
INLINE void load_moments(const float *samples, vector *values) {
    UNROLL
    for (int i = 0; i < 4; i++) values[i] = load(samples + LANES * i);
    deinterleave(values, values + 1), deinterleave(values + 2, values + 3);
}

/* The first BINS of a real spectrum, and their absolute values. */
INLINE void store_bins(const tables *known, spectrum *all, float *bins, float *magnitude) {
    all->re[SIZE] = all->re[0], all->im[SIZE] = all->im[0];
    for (int k = 0; k < BINS; k += LANES) {
        const int mirrored = SIZE - k - (LANES - 1);
        const numbers a = {load(all->re + k), load(all->im + k)};
        const numbers b = {reversed(load(all->re + mirrored)), -reversed(load(all->im + mirrored))};
        numbers bin = sum(b, times(difference(a, b), load(known->turn_re + k), -load(known->turn_im + k)));
        const vector squares = bin.re * bin.re + bin.im * bin.im;
        UNROLL
        for (int i = 0; i < LANES; i++) magnitude[k + i] = sqrtf(squares[i]);
        interleave(&bin.re, &bin.im);
        store(bins + 2 * k, bin.re), store(bins + 2 * k + LANES, bin.im);
    }
}

/* Make the complex numbers whose inverse transform is a frame: of bins under a mask, less `above`. */
INLINE void load_bins(const tables *known, const float *bins, const float *mask, float above, spectrum *all) {
    for (int k = 0; k < BINS; k += LANES) {
        const vector factor = load(mask + k) - above;
        numbers bin = {load(bins + 2 * k), load(bins + 2 * k + LANES)};
        deinterleave(&bin.re, &bin.im);
        bin.re *= factor, bin.im *= factor;
        const numbers turned = times(bin, load(known->turn_re + k), load(known->turn_im + k));
        const numbers rest = difference(bin, turned);
        const int mirrored = SIZE - k - (LANES - 1);
        store(all->re + k, turned.re), store(all->im + k, turned.im);
        store(all->re + mirrored, reversed(rest.re)), store(all->im + mirrored, -reversed(rest.im));
    }
    all->re[BINS] = all->im[BINS] = 0;
}

EXPORTED long stft_tables(void) { return sizeof(tables) / sizeof(float); }

EXPORTED void stft_prepare(float *memory) {
    tables *known = (tables *)memory;
    const double turn = 2 * acos(-1.0);
    for (int i = 0; i < FRAME; i++) {
        const float window = (float)(0.5 - 0.5 * cos(turn * i / FRAME));
        known->analysis[i] = window;
        known->synthesis[i] = window * (2.0f / 3.0f) / SIZE;
        known->both[i] = window * (window * (2.0f / 3.0f));
    }
    for (int k = 0; k < BINS; k++) {
        known->turn_re[k] = (float)(0.5 - 0.5 * sin(turn * k / FRAME));
        known->turn_im[k] = (float)(0.5 * cos(turn * k / FRAME));
    }
    for (int j = 0; j < FIRST; j++) {
        for (int p = 0; p < COLUMNS; p++) {
            known->first_re[j][p] = (float)cos(turn * p * j / SIZE);
            known->first_im[j][p] = (float)-sin(turn * p * j / SIZE);
        }
        for (int p = 0; p < LAST; p++) {
            known->next_re[p][j] = (float)cos(turn * p * j / COLUMNS);
            known->next_im[p][j] = (float)-sin(turn * p * j / COLUMNS);
        }
    }
}

/* The spectrum of samples.
   samples: HOP * (frames + 3) moments of both channels
   bins: (channels, frames, BINS) complex numbers; magnitude: their absolute values */
EXPORTED void stft_forward(const float *memory, const float *samples, int frames, float *bins, float *magnitude) {
    const tables *known = (const tables *)memory;
    spectrum input[CHANNELS], output;
    for (int frame = 0; frame < frames; frame++) {
        const float *at = samples + (long)frame * HOP * CHANNELS;
        for (int n = 0; n < FRAME; n += 2 * LANES) {
            vector values[4];
            load_moments(at + CHANNELS * n, values);
            UNROLL
            for (int channel = 0; channel < CHANNELS; channel++) {
                vector even = values[channel] * load(known->analysis + n);
                vector odd = values[channel + 2] * load(known->analysis + n + LANES);
                deinterleave(&even, &odd);
                store(input[channel].re + n / 2, even), store(input[channel].im + n / 2, odd);
            }
        }
        for (int channel = 0; channel < CHANNELS; channel++) {
            const long place = ((long)channel * frames + frame) * BINS;
            transform(known, input[channel].re, input[channel].im, output.re, output.im);
            store_bins(known, &output, bins + 2 * place, magnitude + place);
        }
    }
}

/* The samples of an instrument.
   samples: of the mix, HOP * (frames + 3) moments of both channels
   bins, mask: (channels, frames, BINS); above: its share of all further bins, (channels, frames), or none of them
   stem: as samples */
EXPORTED void stft_share(const float *memory, const float *samples, const float *bins, const float *mask,
                         const float *above, int frames, float *stem) {
    const tables *known = (const tables *)memory;
    spectrum input, output[CHANNELS];
    for (int frame = 0; frame < frames; frame++) {
        float gain[CHANNELS] = {0};
        for (int channel = 0; channel < CHANNELS; channel++) {
            const long row = (long)channel * frames + frame;
            if (above) gain[channel] = above[row];
            load_bins(known, bins + 2 * row * BINS, mask + row * BINS, gain[channel], &input);
            transform(known, input.im, input.re, output[channel].im, output[channel].re);
        }
        const float *mix = samples + (long)frame * HOP * CHANNELS;
        float *to = stem + (long)frame * HOP * CHANNELS;
        for (int n = 0; n < FRAME; n += 2 * LANES) {
            vector values[4];
            load_moments(mix + CHANNELS * n, values);
            UNROLL
            for (int channel = 0; channel < CHANNELS; channel++) {
                vector even = load(output[channel].re + n / 2), odd = load(output[channel].im + n / 2);
                interleave(&even, &odd);
                values[channel] = even * load(known->synthesis + n)
                                  + values[channel] * (gain[channel] * load(known->both + n));
                values[channel + 2] = odd * load(known->synthesis + n + LANES)
                                      + values[channel + 2] * (gain[channel] * load(known->both + n + LANES));
            }
            interleave(values, values + 1), interleave(values + 2, values + 3);
            UNROLL
            for (int i = 0; i < 4; i++, to += LANES) /* the last hop of a frame is new, all of the first one */
                store(to, frame && n < FRAME - HOP ? load(to) + values[i] : values[i]);
        }
    }
}
