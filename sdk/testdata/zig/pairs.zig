const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "pairs", .version = "1", .unit = .pairs, .inputs = &.{ "unused", "reference" } };

pub fn init(_: gsc.Params) bool {
    return true;
}

pub fn unit(u: gsc.Unit) f32 {
    const reference = u.inputs.get(1);
    var margin: f32 = 0;
    for (0..u.labels.len) |row| {
        if (place(u, row)) |at| margin += sign(u, row) * (u.logits[at] - reference[at]);
    }
    if (u.gradient) |gradient| {
        @memset(gradient, 0);
        for (0..u.labels.len) |row| {
            if (place(u, row)) |at| gradient[at] = sign(u, row) * margin;
        }
    }
    return 0.5 * margin * margin;
}

/// Where a row's label is among the logits; null: it is not scored.
fn place(u: gsc.Unit, row: usize) ?usize {
    if (u.labels[row] < 0 or row % u.length >= u.lengths[row / u.length]) return null;
    return row * u.classes + @as(usize, @intCast(u.labels[row]));
}

fn sign(u: gsc.Unit, row: usize) f32 {
    return if (row < u.length) 1 else -1;
}

comptime {
    gsc.exportUnitLoss(@This());
}
