//! The cross entropy with the z-loss of PaLM (Chowdhery et al., arXiv:2204.02311, section 5), which keeps the normaliser of the softmax near 1.
//!
//!     ℓ = lse − z_y + λ·lse²        dℓ/dz_v = (1 + 2λ·lse)·p_v − [v = y]
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "z_loss", .version = "1.0.0", .targets = .classes, .params = "lambda: *1e-4 | number & >=0 & <=1" };

var lambda: f64 = 0;

pub fn init(params: gsc.Params) bool {
    lambda = params.number("lambda") orelse return false;
    return true;
}

pub fn row(r: gsc.Row) f32 {
    const log_sum = gsc.softmax(r.logits, r.gradient);
    if (r.gradient) |gradient| {
        const factor: f32 = @floatCast(1 + 2 * lambda * log_sum);
        for (gradient) |*g| g.* *= factor;
        gradient[r.label] -= 1;
    }
    return @floatCast(log_sum - r.logits[r.label] + lambda * log_sum * log_sum);
}

comptime {
    gsc.exportLoss(@This());
}
