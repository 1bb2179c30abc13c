#include "mico_conv2d.h"

/* First tap inside the input, of taps at start, start + step, ...  */
static int32_t first_tap(int32_t start, int32_t step)
{
    return start >= 0 ? 0 : (step - 1 - start) / step;
}

/* One past the last tap inside the input of `size`. */
static int32_t end_tap(int32_t start, int32_t step, int32_t size, int32_t taps)
{
    const int32_t inside = start >= size ? 0 : (size - start + step - 1) / step;
    return inside < taps ? inside : taps;
}

void mico_conv2d(const mico_conv2d_t *p, const void *x, void *y, int8_t *row)
{
    const uint8_t *bytes = x; /* offsets only: mico_dot reads with the right sign */
    const mico_weights *w = &p->weights;
    const int32_t depth = p->size.in_c / p->groups;           /* input channels of one group */
    const int32_t group_outputs = p->size.out_c / p->groups;  /* output channels of one group */
    const int contiguous = p->groups == 1 && p->size.dilation_w == 1; /* the taps of a kernel row lie side by side in x */

    for (int32_t oc = 0; oc < p->size.out_c; oc++) {
        mico_unpack(w, oc, row);
        const uint8_t *group = bytes + oc / group_outputs * depth;

        for (int32_t oy = 0; oy < p->size.out_h; oy++) {
            const int32_t iy = oy * p->size.stride_h - p->size.pad_h;
            const int32_t ky0 = first_tap(iy, p->size.dilation_h);
            const int32_t ky1 = end_tap(iy, p->size.dilation_h, p->size.in_h, p->size.kernel_h);

            for (int32_t ox = 0; ox < p->size.out_w; ox++) {
                const int32_t ix = ox * p->size.stride_w - p->size.pad_w;
                const int32_t kx0 = first_tap(ix, p->size.dilation_w);
                const int32_t kx1 = end_tap(ix, p->size.dilation_w, p->size.in_w, p->size.kernel_w);
                int32_t acc = w->bias[oc];

                for (int32_t ky = ky0; ky < ky1 && kx0 < kx1; ky++) {
                    const uint8_t *xs =
                        group + ((iy + ky * p->size.dilation_h) * p->size.in_w + ix + kx0 * p->size.dilation_w) * p->size.in_c;
                    const int8_t *ws = row + (ky * p->size.kernel_w + kx0) * depth;
                    if (contiguous) {
                        acc += mico_dot(xs, p->input, ws, (kx1 - kx0) * depth);
                    } else {
                        for (int32_t kx = kx0; kx < kx1; kx++, ws += depth)
                            acc += mico_dot(xs + (kx - kx0) * p->size.dilation_w * p->size.in_c, p->input, ws, depth);
                    }
                }
                mico_store(y, (oy * p->size.out_w + ox) * p->size.out_c + oc, p->output.type,
                           mico_rescale(acc, w->multiplier[oc], w->shift[oc], &p->output));
            }
        }
    }
}
