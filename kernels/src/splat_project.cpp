// 3-D Gaussians to 2-D Gaussians in pixels (EWA splatting, Zwicker et al. 2002), forward and backward.
#include <cmath>

#include "api.h"
#include "threads.h"

namespace near_kernels {
namespace {

struct Camera {
    // row-major. pose (4,4): world_to_camera of the world as seen from a place near the camera, which the last row holds:
    // around it 32 bits hold what is far from the world's origin. k: intrinsics (3,3)
    const float *pose, *k;
    float width, height, near, far, low_pass;
    bool antialiased, orthographic;

    float fx() const { return k[0]; }
    float fy() const { return k[4]; }
    float cx() const { return k[2]; }
    float cy() const { return k[5]; }
};

// Everything on the way from one Gaussian to its projection, so that the backward pass can retrace it.
struct Trace {
    float p[3];     // centre in camera space
    float w[2][3];  // J R: world offset -> pixels, the linear map at the centre
    float t[2];     // the clamped x/z, y/z of the Jacobian
    bool clamped[2];
    float cov[3];     // xx, xy, yy before the low-pass filter
    float det0, det;  // before, after
    float blurred[3];
    float compensation;
};

inline void apply(const float* s, const float* v, float* out) {  // symmetric (xx,xy,xz,yy,yz,zz) times vector
    out[0] = s[0] * v[0] + s[1] * v[1] + s[2] * v[2];
    out[1] = s[1] * v[0] + s[3] * v[1] + s[4] * v[2];
    out[2] = s[2] * v[0] + s[4] * v[1] + s[5] * v[2];
}

inline float dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// False where the Gaussian is outside near..far or degenerate (a NaN fails every comparison).
inline bool trace(const Camera& c, const float* xyz, const float* covariance, Trace& out) {
    const float* eye = c.pose + 12;
    const float around[3] = {xyz[0] - eye[0], xyz[1] - eye[1], xyz[2] - eye[2]};
    for (int i = 0; i < 3; ++i) out.p[i] = dot(c.pose + 4 * i, around) + c.pose[4 * i + 3];
    const float z = out.p[2];
    if (!(z >= c.near && z <= c.far)) return false;
    const float focal[2] = {c.fx(), c.fy()}, centre[2] = {c.cx(), c.cy()}, size[2] = {c.width, c.height};
    for (int i = 0; i < 2; ++i) {
        const float* row = c.pose + 4 * i;
        if (c.orthographic) {
            for (int j = 0; j < 3; ++j) out.w[i][j] = focal[i] * row[j];
            continue;
        }
        // The Jacobian explodes off screen: stop it 0.3 tan(half field of view) beyond the edge.
        const float slack = 0.15f * size[i] / focal[i];
        const float low = -(centre[i] / focal[i] + slack), high = (size[i] - centre[i]) / focal[i] + slack;
        const float slope = out.p[i] / z;
        out.t[i] = std::fmin(std::fmax(slope, low), high);
        out.clamped[i] = !(slope >= low && slope <= high);
        for (int j = 0; j < 3; ++j) out.w[i][j] = focal[i] / z * (row[j] - out.t[i] * c.pose[8 + j]);
    }
    float sw[3];
    apply(covariance, out.w[0], sw);
    out.cov[0] = dot(out.w[0], sw);
    out.cov[1] = dot(out.w[1], sw);
    apply(covariance, out.w[1], sw);
    out.cov[2] = dot(out.w[1], sw);
    out.blurred[0] = out.cov[0] + c.low_pass;
    out.blurred[1] = out.cov[1];
    out.blurred[2] = out.cov[2] + c.low_pass;
    out.det0 = out.cov[0] * out.cov[2] - out.cov[1] * out.cov[1];
    out.det = out.blurred[0] * out.blurred[2] - out.blurred[1] * out.blurred[1];
    if (!(out.det > 0) || !std::isfinite(out.det)) return false;
    out.compensation = c.antialiased ? std::sqrt(std::fmax(0.f, out.det0 / out.det)) : 1.f;
    return true;
}

inline void project_one(const Camera& c, const float* xyz, const float* covariance, float opacity, float* mean,
                        float* conic, float& depth, int32_t& radius, float& out_opacity) {
    mean[0] = mean[1] = conic[0] = conic[1] = conic[2] = depth = out_opacity = 0;
    radius = 0;
    Trace t;
    if (!trace(c, xyz, covariance, t)) return;
    const float scale = c.orthographic ? 1.f : 1.f / t.p[2];
    const float x = c.fx() * t.p[0] * scale + c.cx(), y = c.fy() * t.p[1] * scale + c.cy();
    const float o = opacity * t.compensation;
    if (!(o >= 1.f / 255.f) || !std::isfinite(x + y + o)) return;
    // 3.33 standard deviations is where an opaque Gaussian falls to 1/255.
    const float reach = o > 1.f ? std::sqrt(2.f * std::log(255.f * o)) : 3.33f;
    const float rx = std::ceil(reach * std::sqrt(t.blurred[0])), ry = std::ceil(reach * std::sqrt(t.blurred[2]));
    if (x + rx <= 0 || x - rx >= c.width || y + ry <= 0 || y - ry >= c.height) return;
    mean[0] = x;
    mean[1] = y;
    conic[0] = t.blurred[2] / t.det;
    conic[1] = -t.blurred[1] / t.det;
    conic[2] = t.blurred[0] / t.det;
    depth = t.p[2];
    radius = int32_t(std::fmin(std::fmax(rx, ry), 1e9f));
    out_opacity = o;
}

// Adds nothing where the forward pass culled: the caller gives zero gradients there and zeroed outputs.
inline void backward_one(const Camera& c, const float* xyz, const float* covariance, float opacity, const float* d_mean,
                         const float* d_conic, float d_depth, float d_out_opacity, float* d_xyz, float* d_covariance,
                         float& d_opacity) {
    Trace t;
    if (!trace(c, xyz, covariance, t)) return;
    const float q[3] = {t.blurred[2] / t.det, -t.blurred[1] / t.det, t.blurred[0] / t.det};
    // conic = blurred^-1: dL/dS = -Q G Q with the symmetric G whose off-diagonal is half of d_conic[1].
    const float g0 = d_conic[0], g1 = 0.5f * d_conic[1], g2 = d_conic[2];
    const float m00 = g0 * q[0] + g1 * q[1], m01 = g0 * q[1] + g1 * q[2];
    const float m10 = g1 * q[0] + g2 * q[1], m11 = g1 * q[1] + g2 * q[2];
    float d00 = -(q[0] * m00 + q[1] * m10), d01 = -(q[0] * m01 + q[1] * m11), d11 = -(q[1] * m01 + q[2] * m11);
    d_opacity = d_out_opacity * t.compensation;
    if (c.antialiased && t.compensation > 1e-6f) {
        // compensation^2 = det0 / det; d det/dS = det S^-1, so each half is an adjugate over its determinant.
        const float d_ratio = d_out_opacity * opacity * 0.5f / t.compensation / t.det;
        const float ratio = t.det0 / t.det;
        d00 += d_ratio * (t.cov[2] - ratio * t.blurred[2]);
        d01 += d_ratio * (ratio - 1.f) * t.cov[1];
        d11 += d_ratio * (t.cov[0] - ratio * t.blurred[0]);
    }
    // cov_ij = w_i . Sigma w_j
    float s0[3], s1[3], d_w[2][3];
    apply(covariance, t.w[0], s0);
    apply(covariance, t.w[1], s1);
    for (int j = 0; j < 3; ++j) {
        d_w[0][j] = 2.f * (d00 * s0[j] + d01 * s1[j]);
        d_w[1][j] = 2.f * (d01 * s0[j] + d11 * s1[j]);
    }
    int at = 0;
    for (int i = 0; i < 3; ++i)
        for (int j = i; j < 3; ++j) {
            const float* a = t.w[0];
            const float* b = t.w[1];
            const float d = d00 * a[i] * a[j] + d01 * (a[i] * b[j] + a[j] * b[i]) + d11 * b[i] * b[j];
            d_covariance[at++] = i == j ? d : 2.f * d;
        }
    float d_p[3] = {0, 0, d_depth};
    const float focal[2] = {c.fx(), c.fy()};
    const float z = t.p[2];
    for (int i = 0; i < 2; ++i) {
        if (c.orthographic) {
            d_p[i] += focal[i] * d_mean[i];
            continue;
        }
        d_p[i] += focal[i] / z * d_mean[i];
        d_p[2] -= focal[i] * t.p[i] / (z * z) * d_mean[i];
        d_p[2] -= dot(d_w[i], t.w[i]) / z;  // w is proportional to 1/z ...
        if (!t.clamped[i]) {                // ... and falls with the slope p_i / z
            const float d_slope = -focal[i] / z * dot(d_w[i], c.pose + 8);
            d_p[i] += d_slope / z;
            d_p[2] -= d_slope * t.t[i] / z;
        }
    }
    for (int j = 0; j < 3; ++j) d_xyz[j] = d_p[0] * c.pose[j] + d_p[1] * c.pose[4 + j] + d_p[2] * c.pose[8 + j];
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// xyz (N,3), covariance (N,6), opacity (N) -> mean (N,2), conic (N,3), depth (N), radius (N), out_opacity (N); rows of
// zeros where culled.
NEAR_KERNEL(splat_project)(const float* xyz, const float* covariance, const float* opacity, int64_t count,
                           const float* pose, const float* intrinsics, int64_t width, int64_t height, double near,
                           double far, double low_pass, int64_t antialiased, int64_t orthographic, float* mean,
                           float* conic, float* depth, int32_t* radius, float* out_opacity, int64_t threads) {
    return guard([&] {
        const Camera camera{pose,       intrinsics,      float(width),     float(height),    float(near),
                            float(far), float(low_pass), antialiased != 0, orthographic != 0};
        parallel_ranges(threads, count, 2048, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i)
                project_one(camera, xyz + 3 * i, covariance + 6 * i, opacity[i], mean + 2 * i, conic + 3 * i, depth[i],
                            radius[i], out_opacity[i]);
        });
    });
}

// Gradients of the outputs of splat_project and its radius -> gradients of xyz, covariance and opacity (zeroed by the
// caller).
NEAR_KERNEL(splat_project_backward)(const float* xyz, const float* covariance, const float* opacity, int64_t count,
                                    const float* pose, const float* intrinsics, int64_t width, int64_t height,
                                    double near, double far, double low_pass, int64_t antialiased, int64_t orthographic,
                                    const int32_t* radius, const float* d_mean, const float* d_conic,
                                    const float* d_depth, const float* d_out_opacity, float* d_xyz, float* d_covariance,
                                    float* d_opacity, int64_t threads) {
    return guard([&] {
        const Camera camera{pose,       intrinsics,      float(width),     float(height),    float(near),
                            float(far), float(low_pass), antialiased != 0, orthographic != 0};
        parallel_ranges(threads, count, 1024, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i)
                if (radius[i] > 0)
                    backward_one(camera, xyz + 3 * i, covariance + 6 * i, opacity[i], d_mean + 2 * i, d_conic + 3 * i,
                                 d_depth[i], d_out_opacity[i], d_xyz + 3 * i, d_covariance + 6 * i, d_opacity[i]);
        });
    });
}
