//! @NAME@ is a loss for gsc: the cross entropy of a softmax whose logits are divided by a temperature τ.
//!
//!     ℓ = log Σ_v e^(z_v/τ) − z_y/τ        dℓ/dz_v = (p_v − [v = y])/τ
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "@NAME@", .version = "0.1.0", .targets = .classes, .params = "temperature: *1 | number & >0" };

var temperature: f32 = 1;
var scaled: ?[]f32 = null; // a row of logits, divided

/// Gets the parameters once.
pub fn init(params: gsc.Params) bool {
    temperature = @floatCast(params.number("temperature") orelse return false);
    return temperature >= 1e-3;
}

/// The loss of a row, and its gradient where one is asked for.
pub fn row(r: gsc.Row) f32 {
    if (scaled == null) scaled = gsc.allocate(r.logits.len); // all rows are of one width
    const z = scaled orelse @panic("there is no memory left");
    for (z, r.logits) |*to, from| to.* = from / temperature;
    const loss = gsc.softmax(z, r.gradient) - z[r.label];
    if (r.gradient) |gradient| {
        gradient[r.label] -= 1;
        for (gradient) |*g| g.* /= temperature;
    }
    return @floatCast(loss);
}

comptime {
    gsc.exportLoss(@This());
}
