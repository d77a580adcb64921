//! @NAME@ is a compression policy for gsc: of the matrices of linear layers a share of the elements is pruned, the least ones, which grows from step to step up to an end, and stays from there on.
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "@NAME@", .version = "0.1.0", .params = "sparsity: *0.5 | number & >0 & <1, end: *100 | int & >=1" };

var sparsity: f32 = 0.5;
var end: u64 = 100;

/// Gets the parameters once.
pub fn init(params: gsc.Params) bool {
    sparsity = @floatCast(params.number("sparsity") orelse return false);
    end = @intFromFloat(params.number("end") orelse return false);
    return true;
}

/// Says once what may ever happen to a weight.
pub fn declare(w: gsc.Weight) gsc.Declaration {
    const elements = @as(f32, @floatFromInt(w.in)) * @as(f32, @floatFromInt(w.out));
    if (w.kind != .linear or sparsity * elements < 1) return .{};
    return .{ .pattern = .elements, .sparsity = sparsity };
}

/// Says what happens to it at a step.
pub fn decide(_: gsc.Weight, _: gsc.Declaration, moment: gsc.Moment) gsc.Decision {
    const done = @as(f32, @floatFromInt(@min(moment.step, end))) / @as(f32, @floatFromInt(end));
    return .{ .prune = sparsity * done, .mask = moment.step <= end };
}

comptime {
    gsc.exportPolicy(@This());
}
