/* Softmax in two sweeps, after arXiv 2001.04438: e^x is kept as m 2^k, so no sweep for the maximum.

   Each lane keeps a sum as a pair of its own, lanes are joined after each chunk, and chunks in
   double, so that sums of many terms lose nothing. Loops over lanes are what compilers vectorise. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 32, CHUNK = 4096 };

static const float LIMIT = 0x1p127f;          /* larger scores count as this one */
static const float NOTHING = -3e38f;          /* below the exponent of every score */
static const float COARSE = 0x1p20f;          /* from here on r is no longer small and accurate */
static const float LOG2E = 0x1.715476p+0f;
static const float LN2_HIGH = 0x1.62e43p-1f;  /* ln 2 in two parts */
static const float LN2_LOW = -0x1.05c61p-29f;

/* Return e^r for |r| up to 0.36, by the polynomial of Cephes' expf. */
static inline float mantissa(float r) {
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    return fmaf(p * r, r, r) + 1.0f;
}

/* Return k, and in m the mantissa: e^x = m 2^k with m about in [0.7, 1.42]. */
static inline float pair(float x, float *m) {
    float k = rintf(x * LOG2E);
    *m = mantissa(fmaf(k, -LN2_LOW, fmaf(k, -LN2_HIGH, x)));
    return k;
}

/* The same for any x: the mantissa of minus infinity is zero, and nan stays nan. It takes twice the
   time, so only chunks that need it go this way. */
static inline float any_pair(float x, float *m) {
    float v = x > LIMIT ? LIMIT : x;
    v = v < -LIMIT ? -LIMIT : v;
    float k = rintf(v * LOG2E);
    float r = fmaf(k, -LN2_LOW, fmaf(k, -LN2_HIGH, v));
    r = r > 0.4f ? 0.4f : r; /* where k itself is coarse */
    r = r < -0.4f ? -0.4f : r;
    *m = x == -INFINITY ? 0.0f : mantissa(r);
    return k;
}

/* Return 2^k for whole k <= 0, and zero below the normal numbers. */
static inline float power(float k) {
    k = k < -127.0f ? -127.0f : k;
    int32_t bits = ((int32_t)k + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void add(float x, float *sum, float *top, int regular) {
    float m, k = regular ? pair(x, &m) : any_pair(x, &m);
    float larger = k > *top ? k : *top;
    *sum = *sum * power(*top - larger) + m * power(k - larger);
    *top = larger;
}

static void join(double m, double k, double *sum, double *top) {
    if (k > *top) {
        *sum = *sum * exp2(*top - k) + m;
        *top = k;
    } else {
        *sum += m * exp2(k - *top);
    }
}

static inline double chunk(const float *x, size_t n, float *most, int regular) {
    float sums[LANES], tops[LANES];
    size_t i = 0;
    for (int j = 0; j < LANES; j++) sums[j] = 0.0f, tops[j] = NOTHING;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) add(x[i + j], &sums[j], &tops[j], regular);
    for (int j = 0; i < n; i++, j++) add(x[i], &sums[j], &tops[j], regular);
    *most = NOTHING;
    for (int j = 0; j < LANES; j++) *most = tops[j] > *most ? tops[j] : *most;
    for (int j = 0; j < LANES; j++) sums[j] *= power(tops[j] - *most);
    double whole = 0.0;
    for (int j = 0; j < LANES; j++) whole += sums[j];
    return whole;
}

/* The first sweep: the sum of e^x as sum 2^top. Returns whether all scores are regular: a score
   that is not makes the sum of its chunk nan, vanishes beside others, or is the top itself. */
int softunit_sum(const float *x, size_t n, double *sum, double *top) {
    int regular = 1;
    *sum = 0.0;
    *top = NOTHING;
    for (size_t start = 0; start < n; start += CHUNK) {
        size_t count = n - start < CHUNK ? n - start : CHUNK;
        float most;
        double part = chunk(x + start, count, &most, 1);
        if (!(part < INFINITY && fabsf(most) < COARSE)) {
            part = chunk(x + start, count, &most, 0); /* still in the cache */
            regular = 0;
        }
        join(part, most, sum, top);
    }
    return regular;
}

/* The second sweep: e^x / (sum 2^top); zeros where the sum is zero. */
void softunit_write(
    const float *restrict x, float *restrict out, size_t n, double sum, double top, int regular
) {
    float m, k, factor = sum == 0.0 ? 0.0f : (float)(1.0 / sum), base = (float)top;
    if (regular) {
        for (size_t i = 0; i < n; i++) k = pair(x[i], &m), out[i] = m * (factor * power(k - base));
    } else {
        for (size_t i = 0; i < n; i++)
            k = any_pair(x[i], &m), out[i] = m * (factor * power(k - base));
    }
}

void softunit_two_pass(const float *x, float *out, size_t rows, size_t n) {
    for (size_t row = 0; row < rows; row++, x += n, out += n) {
        double sum, top;
        int regular = softunit_sum(x, n, &sum, &top);
        softunit_write(x, out, n, sum, top, regular);
    }
}

/* What it is measured against, from the same parts: maximum, sum of e^(x - maximum), quotient. */
void softunit_three_pass(const float *restrict x, float *restrict out, size_t n) {
    float tops[LANES], most = -INFINITY;
    size_t i = 0;
    for (int j = 0; j < LANES; j++) tops[j] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) tops[j] = x[i + j] > tops[j] ? x[i + j] : tops[j];
    for (; i < n; i++) tops[0] = x[i] > tops[0] ? x[i] : tops[0];
    for (int j = 0; j < LANES; j++) most = tops[j] > most ? tops[j] : most;
    double sum = 0.0;
    for (size_t start = 0; start < n; start += CHUNK) {
        size_t stop = n - start < CHUNK ? n : start + CHUNK;
        float sums[LANES];
        for (int j = 0; j < LANES; j++) sums[j] = 0.0f;
        for (i = start; i + LANES <= stop; i += LANES)
            for (int j = 0; j < LANES; j++) {
                float m, k = pair(x[i + j] - most, &m);
                sums[j] += m * power(k);
            }
        for (int j = 0; i < stop; i++, j++) {
            float m, k = pair(x[i] - most, &m);
            sums[j] += m * power(k);
        }
        for (int j = 0; j < LANES; j++) sum += sums[j];
    }
    float factor = (float)(1.0 / sum);
    for (i = 0; i < n; i++) {
        float m, k = pair(x[i] - most, &m);
        out[i] = m * factor * power(k);
    }
}
