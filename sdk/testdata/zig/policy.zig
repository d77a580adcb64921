const std = @import("std");
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "policy", .version = "1" };

pub fn init(_: gsc.Params) bool {
    return true;
}

pub fn declare(w: gsc.Weight) gsc.Declaration {
    if (w.kind == .table) return .{ .bits = 4, .group = if (w.in % 8 == 0) 8 else 0, .symmetric = true };
    if (std.mem.indexOf(u8, w.name, "attn") != null and w.heads > 1) return .{ .pattern = .heads, .sparsity = 0.5 };
    if (w.in % 4 == 0) return .{ .pattern = .neighbours, .of = 4, .sparsity = 0.5, .bits = 8 };
    if (w.out > 1) return .{ .pattern = .outputs, .sparsity = 0.5 };
    return .{};
}

pub fn decide(_: gsc.Weight, declared: gsc.Declaration, m: gsc.Moment) gsc.Decision {
    const share: f32 = if (2 * m.step >= m.steps) 1 else 0.5;
    return .{ .prune = declared.sparsity * share, .mask = declared.pattern != .none and m.rms > 0.01, .quantise = declared.bits > 0 and m.step > 1 << 32 };
}

comptime {
    gsc.exportPolicy(@This());
}
