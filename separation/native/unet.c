/* Spleeter's U-Net on a CPU: spike */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__)
#define LANES 16
#define ROWS 12
#elif defined(__AVX2__)
#define LANES 8
#define ROWS 6
#else
#define LANES 4
#define ROWS 8
#endif
typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float uvec __attribute__((vector_size(LANES * 4), aligned(4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
#define INLINE static inline __attribute__((always_inline))
INLINE vec load(const float *p) { return *(const uvec *)p; }
INLINE void store(float *p, vec v) { *(uvec *)p = v; }
INLINE vec splat(float x) { return (vec){0} + x; }
INLINE vec vmax(vec a, vec b) { ivec m = a > b; return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }
INLINE vec vmin(vec a, vec b) { ivec m = a < b; return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }
#include <math.h>
INLINE vec vexp(vec x) {
  x = vmin(vmax(x, splat(-87.0f)), splat(88.3f));
  vec magic = splat(12582912.0f);
  vec n = x * 1.44269504088896341f + magic; n = n - magic;
  vec r = x - n * 0.693359375f; r = r - n * -2.12194440e-4f;
  vec p = splat(1.9875691500E-4f);
  p = p * r + 1.3981999507E-3f; p = p * r + 8.3334519073E-3f; p = p * r + 4.1665795894E-2f;
  p = p * r + 1.6666665459E-1f; p = p * r + 5.0000001201E-1f; p = p * (r * r) + r + 1.0f;
  ivec e = (__builtin_convertvector(n, ivec) + 127) << 23;
  return p * (vec)e;
}
enum { LEAKY, ELU, RELU };
INLINE vec act(vec x, int kind) {
  if (kind == LEAKY) return vmax(x, x * 0.2f);
  if (kind == RELU) return vmax(x, splat(0));
  vec zero = splat(0);
  return vmax(x, vexp(vmin(x, zero)) - 1.0f);
}
int unet_lanes(void) { return LANES; }
int unet_rows(void) { return ROWS; }

static const float ZEROS[1024] __attribute__((aligned(64)));

/* c[r][..] = sum over taps, k of a[tap][r][k] b[k][..] for R rows and NV vectors */
INLINE void kernel(const int R, const int NV, const float *const *rows, long tap_step, int taps, long K,
                   const float *b, float *c, long ldc) {
  vec acc[24];
  for (int i = 0; i < R * NV; i++) acc[i] = splat(0);
  for (int t = 0; t < taps; t++) {
    const float *a[24];
#pragma GCC unroll 24
    for (int r = 0; r < R; r++) a[r] = rows[r];
    for (long k = 0; k < K; k++) {
      vec bv[2];
#pragma GCC unroll 2
      for (int n = 0; n < NV; n++) bv[n] = load(b + n * LANES);
#pragma GCC unroll 24
      for (int r = 0; r < R; r++) {
        vec x = splat(a[r][k]);
#pragma GCC unroll 2
        for (int n = 0; n < NV; n++) acc[r * NV + n] += x * bv[n];
      }
      b += NV * LANES;
    }
    rows += tap_step;
  }
#pragma GCC unroll 24
  for (int r = 0; r < R; r++)
#pragma GCC unroll 2
    for (int n = 0; n < NV; n++) store(c + r * ldc + n * LANES, acc[r * NV + n]);
}
static void kernel2(const float *const *rows, long tap_step, int taps, long K, const float *b, float *c, long ldc) {
  kernel(ROWS, 2, rows, tap_step, taps, K, b, c, ldc);
}
static void kernel1(const float *const *rows, long tap_step, int taps, long K, const float *b, float *c, long ldc) {
  kernel(2 * ROWS, 1, rows, tap_step, taps, K, b, c, ldc);
}
/* dense a: rows at stride lda */
static __attribute__((noinline)) void kernel_dense(const float *a, long lda, long K, const float *b, float *c, long ldc) {
  vec acc[ROWS][2];
#pragma GCC unroll 24
  for (int r = 0; r < ROWS; r++) acc[r][0] = acc[r][1] = splat(0);
  for (long k = 0; k < K; k++) {
    vec b0 = load(b), b1 = load(b + LANES);
    b += 2 * LANES;
#pragma GCC unroll 24
    for (int r = 0; r < ROWS; r++) {
      vec x = splat(a[r * lda + k]);
      acc[r][0] += x * b0; acc[r][1] += x * b1;
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < ROWS; r++) { store(c + r * ldc, acc[r][0]); store(c + r * ldc + LANES, acc[r][1]); }
}

/* B^T d, six values */
INLINE void in6(const vec *d, vec *o, const int s) {
  vec a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1], c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
  o[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  o[s] = a + b; o[2 * s] = a - b; o[3 * s] = c + e; o[4 * s] = c - e;
  o[5 * s] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}
INLINE void out4(const vec *m, const int s, vec *o) {
  vec a = m[s] + m[2 * s], b = m[s] - m[2 * s], c = m[3 * s] + m[4 * s], e = m[3 * s] - m[4 * s];
  o[0] = m[0] + a + c; o[1] = b + 2.0f * e; o[2] = a + 4.0f * c; o[3] = b + 8.0f * e + m[5 * s];
}
/* one tile: 36 pointers to pixels, C channels -> v[point][...] */
static void transform_in(const float *const *p, long C, float *v, long point) {
  for (long c = 0; c < C; c += LANES) {
    vec t[36];
    for (int x = 0; x < 6; x++) {
      vec d[6];
#pragma GCC unroll 6
      for (int y = 0; y < 6; y++) d[y] = load(p[y * 6 + x] + c);
      in6(d, t + x, 6);
    }
    for (int y = 0; y < 6; y++) {
      vec o[6];
      in6(t + y * 6, o, 1);
#pragma GCC unroll 6
      for (int x = 0; x < 6; x++) store(v + (y * 6 + x) * point + c, o[x]);
    }
  }
}
INLINE void transform_out(const float *m, long point, vec *y) {
  vec t[24];
  for (int x = 0; x < 6; x++) {
    vec d[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) d[i] = load(m + (i * 6 + x) * point);
    vec o[4];
    out4(d, 1, o);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) t[i * 6 + x] = o[i];
  }
  for (int i = 0; i < 4; i++) out4(t + i * 6, 1, y + i * 4);
}

typedef struct { const float *weights, *bias, *scale, *shift; } layer;

/* source pixel windows; parts: 4 phases (encoder) or the sources (decoder) */
static void window(const float *src, long C, int H, int W, int y0, int x0, int ys, int xs, const float **p) {
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 6; j++) {
      int y = y0 + i * ys, x = x0 + j * xs;
      p[i * 6 + j] = (y < 0 || y >= H || x < 0 || x >= W) ? ZEROS : src + ((long)y * W + x) * C;
    }
}
static void multiply(const float *v, long K, const float *u, long N, float *m, long T, long tiles) {
  for (int p = 0; p < 36; p++)
    for (long n = 0; n < N; n += 2 * LANES)
      for (long t = 0; t < tiles; t += ROWS)
        kernel_dense(v + (p * T + t) * K, K, K, u + p * K * N + n * K, m + (p * T + t) * N + n, N);
}
INLINE void encoder_store(const layer *l, long N, long at, long n, vec y, int kind, float *raw, float *next) {
  y += load(l->bias + n);
  store(raw + at * N + n, y);
  if (next) store(next + at * N + n, act(y * load(l->scale + n) + load(l->shift + n), kind));
}
INLINE vec decoder_value(const layer *l, long c, vec y, int kind) {
  return act(y + load(l->bias + c), kind) * load(l->scale + c) + load(l->shift + c);
}
/* 5x5 stride 2, H x W x C -> H/2 x W/2 x N */
INLINE void encoder_winograd_(const layer *l, const float *src, int H, int W, long C, long N, float *raw, float *next,
                              float *work, long T, const int kind) {
  int h = H / 2, w = W / 2, across = (w + 3) / 4;
  long K = 4 * C, all = (long)((h + 3) / 4) * across;
  float *v = work, *m = work + 36 * T * K;
  for (long first = 0; first < all; first += T) {
    long tiles = all - first < T ? all - first : T;
    for (long t = 0; t < tiles; t++) {
      int y = (first + t) / across * 4, x = (first + t) % across * 4;
      for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
          const float *p[36];
          window(src, C, H, W, 2 * (y - 1) + a, 2 * (x - 1) + b, 2, 2, p);
          transform_in(p, C, v + t * K + (a * 2 + b) * C, T * K);
        }
    }
    multiply(v, K, l->weights, N, m, T, tiles);
    for (long t = 0; t < tiles; t++) {
      int y = (first + t) / across * 4, x = (first + t) % across * 4;
      for (long n = 0; n < N; n += LANES) {
        vec o[16];
        transform_out(m + t * N + n, T * N, o);
        for (int i = 0; i < 4; i++)
          for (int j = 0; j < 4; j++)
            if (y + i < h && x + j < w) encoder_store(l, N, (long)(y + i) * w + x + j, n, o[i * 4 + j], kind, raw, next);
      }
    }
  }
}
INLINE void decoder_winograd_(const layer *l, const float *skip, const float *src, int H, int W, long C, long N, float *out,
                              float *work, long T, const int kind) {
  int across = (W + 3) / 4;
  long K = 2 * C, all = (long)((H + 3) / 4) * across;
  float *v = work, *m = work + 36 * T * K;
  for (long first = 0; first < all; first += T) {
    long tiles = all - first < T ? all - first : T;
    for (long t = 0; t < tiles; t++) {
      int y = (first + t) / across * 4, x = (first + t) % across * 4;
      const float *p[36];
      window(skip, C, H, W, y - 1, x - 1, 1, 1, p);
      transform_in(p, C, v + t * K, T * K);
      window(src, C, H, W, y - 1, x - 1, 1, 1, p);
      transform_in(p, C, v + t * K + C, T * K);
    }
    multiply(v, K, l->weights, 4 * N, m, T, tiles);
    for (long t = 0; t < tiles; t++) {
      int y = (first + t) / across * 4, x = (first + t) % across * 4;
      for (int phase = 0; phase < 4; phase++)
        for (long c = 0; c < N; c += LANES) {
          vec o[16];
          transform_out(m + t * 4 * N + phase * N + c, T * 4 * N, o);
          for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
              if (y + i < H && x + j < W)
                store(out + ((2L * (y + i) + phase / 2) * 2 * W + 2 * (x + j) + phase % 2) * N + c,
                      decoder_value(l, c, o[i * 4 + j], kind));
        }
    }
  }
}
/* direct: table of row pointers [taps][T] */
static void direct(const float **table, long T, int taps, long K, const float *b, long N, float *m, long rows) {
  if (N % (2 * LANES) == 0) {
    for (long n = 0; n < N; n += 2 * LANES)
      for (long t = 0; t < rows; t += ROWS)
        kernel2(table + t, T, taps, K, b + n * K * taps, m + t * N + n, N);
  } else {
    for (long n = 0; n < N; n += LANES)
      for (long t = 0; t < rows; t += 2 * ROWS)
        kernel1(table + t, T, taps, K, b + n * K * taps, m + t * N + n, N);
  }
}
#define MOST 480
/* 5x5 stride 2; H, W of the source; a pad of the source where `padded` */
INLINE void encoder_direct_(const layer *l, const float *src, int H, int W, long C, long N, float *raw, float *next,
                            float *m, const int kind) {
  int h = H / 2, w = W / 2;
  const float *table[25 * MOST];
  long all = (long)h * w;
  for (long first = 0; first < all; first += MOST) {
    long rows = all - first < MOST ? all - first : MOST;
    for (long r = 0; r < MOST; r++) {
      int y = (first + r) / w, x = (first + r) % w;
      for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
          int yy = 2 * y - 1 + i, xx = 2 * x - 1 + j;
          table[(i * 5 + j) * MOST + r] =
              (r >= rows || yy < 0 || yy >= H || xx < 0 || xx >= W) ? ZEROS : src + ((long)yy * W + xx) * C;
        }
    }
    direct(table, MOST, 25, C, l->weights, N, m, rows);
    for (long r = 0; r < rows; r++)
      for (long n = 0; n < N; n += LANES) encoder_store(l, N, first + r, n, load(m + r * N + n), kind, raw, next);
  }
}
/* first layer: src padded, (H + 4) x (W + 4) x 2, starting one before */
INLINE void encoder_first_(const layer *l, const float *src, int H, int W, float *raw, float *next, float *m, const int kind) {
  int h = H / 2, w = W / 2;
  long N = 16;
  const float *table[5 * MOST];
  long stride = (W + 4) * 2;
  for (int y = 0; y < h; y++)
    for (int first = 0; first < w; first += MOST) {
      long rows = w - first < MOST ? w - first : MOST;
      for (long r = 0; r < MOST; r++)
        for (int i = 0; i < 5; i++)
          table[i * MOST + r] = r >= rows ? ZEROS : src + (2L * y + i) * stride + 2 * (first + r) * 2;
      direct(table, MOST, 5, 10, l->weights, N, m, rows);
      for (long r = 0; r < rows; r++)
        for (long n = 0; n < N; n += LANES) encoder_store(l, N, (long)y * w + first + r, n, load(m + r * N + n), kind, raw, next);
    }
}
static const int OFFSET[2][3] = {{-1, 0, 0}, {-1, 0, 1}};
static const int COUNT[2] = {2, 3};
INLINE void decoder_direct_(const layer *l, const float *skip, const float *src, int H, int W, long C, long N, float *out,
                            float *m, const int kind) {
  const float *table[18 * MOST];
  long all = (long)H * W;
  int sources = skip ? 2 : 1;
  for (long first = 0; first < all; first += MOST) {
    long rows = all - first < MOST ? all - first : MOST;
    const float *b = l->weights;
    for (int phase = 0; phase < 4; phase++) {
      int a = phase / 2, e = phase % 2, taps = 0;
      for (int i = 0; i < COUNT[a]; i++)
        for (int j = 0; j < COUNT[e]; j++)
          for (int s = 0; s < sources; s++, taps++) {
            const float *from = sources == 2 && s == 0 ? skip : src;
            for (long r = 0; r < MOST; r++) {
              int y = (first + r) / W + OFFSET[a][i], x = (first + r) % W + OFFSET[e][j];
              table[taps * MOST + r] =
                  (r >= rows || y < 0 || y >= H || x < 0 || x >= W) ? ZEROS : from + ((long)y * W + x) * C;
            }
          }
      direct(table, MOST, taps, C, b, N, m, rows);
      b += (long)taps * C * N;
      for (long r = 0; r < rows; r++) {
        int y = (first + r) / W, x = (first + r) % W;
        for (long c = 0; c < N; c += LANES)
          store(out + ((2L * y + a) * 2 * W + 2 * x + e) * N + c, decoder_value(l, c, load(m + r * N + c), kind));
      }
    }
  }
}
/* last upsampling: (H, W, 16) + (H, W, 16) -> padded plane (2H + 6) x (2W + 6 rounded) beginning three before */
INLINE void last_upsampling_(const layer *l, const float *skip, const float *src, int H, int W, float *plane, long stride,
                             float *work, const int kind) {
  long row = W + 2 * LANES;
  float *rows[3];
  for (int i = 0; i < 3; i++) { rows[i] = work + i * 32 * row; memset(rows[i], 0, 32 * row * 4); }
  for (int y = -1; y < H; y++) {
    /* bring row y + 1 into place */
    float *next = rows[0]; rows[0] = rows[1]; rows[1] = rows[2]; rows[2] = next;
    if (y + 1 < H) {
      const float *f[2] = {skip + (long)(y + 1) * W * 16, src + (long)(y + 1) * W * 16};
      for (int s = 0; s < 2; s++)
        for (int x = 0; x < W; x += 16)
          for (int c = 0; c < 16; c++) {
            float *to = next + (s * 16 + c) * row + LANES + x;
            const float *from = f[s] + (long)x * 16 + c;
            for (int k = 0; k < 16; k++) to[k] = from[k * 16];
          }
    } else memset(next, 0, 32 * row * 4);
    if (y < 0) continue;
    for (int x = 0; x < W; x += 2 * LANES) {
      vec acc[2][4];
      for (int i = 0; i < 2; i++) for (int k = 0; k < 4; k++) acc[i][k] = splat(0);
      const float *w = l->weights;
      for (int c = 0; c < 32; c++, w += 25) {
        const float *k = w;
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) {
          const float *at = rows[i] + c * row + LANES + x;
#pragma GCC unroll 3
          for (int j = 0; j < 3; j++) {
            vec v0 = load(at + j - 1), v1 = load(at + j - 1 + LANES);
            /* phases: rows even uses i 0,1; odd all; columns likewise */
            acc[0][3] += v0 * k[0]; acc[1][3] += v1 * k[0]; k++;
            if (i < 2) { acc[0][1] += v0 * k[0]; acc[1][1] += v1 * k[0]; k++; }
            if (j < 2) { acc[0][2] += v0 * k[0]; acc[1][2] += v1 * k[0]; k++; }
            if (i < 2 && j < 2) { acc[0][0] += v0 * k[0]; acc[1][0] += v1 * k[0]; k++; }
          }
        }
      }
      for (int b = 0; b < 2; b++)
        for (int a = 0; a < 2; a++) {
          float *to = plane + (2L * y + a + 3) * stride + 3 + 2 * (x + b * LANES);
          vec e = act(acc[b][a * 2] + l->bias[0], kind) * l->scale[0] + l->shift[0];
          vec o = act(acc[b][a * 2 + 1] + l->bias[0], kind) * l->scale[0] + l->shift[0];
          for (int k = 0; k < LANES; k++) { to[2 * k] = e[k]; to[2 * k + 1] = o[k]; }
        }
    }
  }
}
/* 4x4, dilation 2 -> logits 2 x H x W */
static void last(const float *weights, const float *bias, const float *plane, long stride, int H, int W, float *logits) {
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x += LANES) {
      vec l = splat(bias[0]), r = splat(bias[1]);
      for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
          vec v = load(plane + (y + 2L * i) * stride + x + 2 * j);
          l += v * weights[(i * 4 + j) * 2]; r += v * weights[(i * 4 + j) * 2 + 1];
        }
      store(logits + (long)y * W + x, l);
      store(logits + ((long)H + y) * W + x, r);
    }
}
/* Sigmoid estimates squared plus floor, from negated logits, in place */
void unet_powers(const float *magnitude, float *out, long count, float floor) {
  for (long i = 0; i < count; i += LANES) {
    vec e = load(magnitude + i) / (1.0f + vexp(load(out + i)));
    store(out + i, e * e + floor);
  }
}
#include <time.h>
#include <stdio.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
double unet_times[20];
int unet_forms[10] = {0, 1, 1, 1, 0, 0, 0, 0, 1, 1};  /* not used yet */
/* H frames; tiles: T per layer */
#define DEFINE(NAME, ENC, DEC)                                                                                       \
  static void NAME(const layer *l, const float *magnitude, int H, const long *T, float *work, float *logits) {      \
    int W = 1024; double t0 = now(), t1; int z = 0;                                                                  \
    float *p = work;                                                                                                 \
    float *padded = p; p += (long)(H + 4) * (W + 4) * 2;                                                             \
    float *raw[6], *next[2]; int h = H, w = W; long c = 16;                                                          \
    for (int i = 0; i < 6; i++) { h /= 2; w /= 2; raw[i] = p; p += (long)h * w * c; c *= 2; }                         \
    next[0] = p; p += (long)H / 2 * W / 2 * 16;                                                                        \
    next[1] = p; p += (long)H / 2 * W / 2 * 16;                                                                        \
    float *scratch = p;                                                                                              \
    memset(padded, 0, (long)(H + 4) * (W + 4) * 8);                                                                   \
    for (int y = 0; y < H; y++) {                                                                                    \
      float *to = padded + ((long)(y + 1) * (W + 4) + 1) * 2;                                                          \
      const float *a = magnitude + (long)y * W, *b = a + (long)H * W;                                                  \
      for (int x = 0; x < W; x++) { to[2 * x] = a[x]; to[2 * x + 1] = b[x]; }                                          \
    }                                                                                                                \
    t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                   \
    encoder_first_(l, padded, H, W, raw[0], next[0], scratch, ENC);                                                   \
    t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                   \
    h = H / 2; w = W / 2; c = 16;                                                                                    \
    for (int i = 1; i < 6; i++) {                                                                                    \
      float *to = i < 5 ? next[i % 2] : 0;                                                                            \
      if (T[i]) encoder_winograd_(l + i, next[(i + 1) % 2], h, w, c, 2 * c, raw[i], to, scratch, T[i], ENC);            \
      else encoder_direct_(l + i, next[(i + 1) % 2], h, w, c, 2 * c, raw[i], to, scratch, ENC);                        \
      h /= 2; w /= 2; c *= 2;                                                                                        \
      t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                 \
    }                                                                                                                \
    decoder_direct_(l + 6, 0, raw[5], h, w, 512, 256, next[0], scratch, DEC);                                         \
    t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                   \
    for (int i = 1; i < 5; i++) {                                                                                    \
      h *= 2; w *= 2; c /= 2;                                                                                        \
      if (T[6 + i]) decoder_winograd_(l + 6 + i, raw[5 - i], next[(i + 1) % 2], h, w, c, c / 2, next[i % 2], scratch, T[6 + i], DEC); \
      else decoder_direct_(l + 6 + i, raw[5 - i], next[(i + 1) % 2], h, w, c, c / 2, next[i % 2], scratch, DEC); \
      t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                 \
    }                                                                                                                \
    long stride = W + 6 + LANES;                                                                                     \
    memset(next[1], 0, (H + 6) * stride * 4);                                                                         \
    last_upsampling_(l + 11, raw[0], next[0], H / 2, W / 2, next[1], stride, scratch, DEC);                            \
    t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                   \
    last(l[12].weights, l[12].bias, next[1], stride, H, W, logits);                                                   \
    t1 = now(); unet_times[z++] += t1 - t0; t0 = t1;                                                                   \
  }
DEFINE(run_leaky_relu, LEAKY, RELU)
DEFINE(run_elu_elu, ELU, ELU)
void unet_run(const layer *l, int elu, const float *magnitude, int H, const long *T, float *work, float *logits) {
  if (elu) run_elu_elu(l, magnitude, H, T, work, logits);
  else run_leaky_relu(l, magnitude, H, T, work, logits);
}
