/* The energy of samples as BS.1770 weights frequencies: by two recursive filters of second order, one behind the
   other. A sample of both channels is computed at a time, since each one needs the one before. */

#include "vectors.h"

#include <math.h>

typedef double pair __attribute__((vector_size(16)));

typedef struct {
    double b0, b1, b2, a1, a2;
} filter;

/* What a stream leaves for its next samples: of each filter the two numbers of both channels, and of the step that
   is not complete its energy and how many samples it has. */
typedef struct {
    pair first[2], second[2];
    pair energy;
    double filled;
} state;

/* Filter a sample of both channels. What needs `result`, for which the next sample waits, is added last. */
INLINE pair filtered(const filter *by, pair *memory, pair value) {
    const pair result = by->b0 * value + memory[0];
    memory[0] = (by->b1 * value + memory[1]) - by->a1 * result;
    memory[1] = by->b2 * value - by->a2 * result;
    return result;
}

/* What is left long after a sound is nothing: smaller numbers than normal ones would take a hundred times longer. */
INLINE void forget(pair *memory) {
    for (int i = 0; i < 2; i++)
        for (int channel = 0; channel < 2; channel++)
            if (fabs(memory[i][channel]) < 1e-30) memory[i][channel] = 0;
}

EXPORTED long loudness_state(void) { return sizeof(state) / sizeof(double); }

/* Take the next samples, and return how many steps they complete.
   filters: b0, b1, b2, a1 and a2 of each; memory: loudness_state() numbers, all 0 before the first samples
   samples: `count` moments of `channels`, 1 or 2
   energies: of each complete step of `length` moments, the sum of squares over both channels */
EXPORTED long loudness_feed(const double *filters, double *memory, const float *samples, long count, int channels,
                            long length, double *energies) {
    const filter first = {filters[0], filters[1], filters[2], filters[3], filters[4]};
    const filter second = {filters[5], filters[6], filters[7], filters[8], filters[9]};
    state stream;
    __builtin_memcpy(&stream, memory, sizeof(state));
    long steps = 0, filled = (long)stream.filled;
    while (count) {
        const long taken = count < length - filled ? count : length - filled;
        for (long i = 0; i < taken; i++, samples += channels) {
            const pair value = {samples[0], channels == 2 ? samples[1] : 0};
            const pair weighted = filtered(&second, stream.second, filtered(&first, stream.first, value));
            stream.energy += weighted * weighted;
        }
        count -= taken, filled += taken;
        if (filled < length) break;
        energies[steps++] = stream.energy[0] + stream.energy[1];
        stream.energy = (pair){0}, filled = 0;
        forget(stream.first), forget(stream.second);
    }
    stream.filled = (double)filled;
    __builtin_memcpy(memory, &stream, sizeof(state));
    return steps;
}
