//! Gradual magnitude pruning (Zhu and Gupta, arXiv:1710.01878, equation 1): of the matrices of linear layers the least elements are pruned, in a share that grows fast at first and then ever more slowly.
//!
//!     share(t) = final·(1 − (1 − (t − begin)/(end − begin))³)        from begin to end, at each multiple of every behind begin, and at the end
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{
    .name = "gradual",
    .version = "1.0.0",
    .params = "final: *0.75 | number & >0 & <1, begin: *1 | int & >=1, end: *1000 | int & >=begin, every: *100 | int & >=1",
};

var final: f32 = 0;
var begin: u64 = 1;
var end: u64 = 1;
var every: u64 = 1;

pub fn init(params: gsc.Params) bool {
    final = @floatCast(params.number("final") orelse return false);
    begin = @intFromFloat(params.number("begin") orelse return false);
    end = @intFromFloat(params.number("end") orelse return false);
    every = @intFromFloat(params.number("every") orelse return false);
    return true;
}

pub fn declare(w: gsc.Weight) gsc.Declaration {
    const elements = @as(f32, @floatFromInt(w.in)) * @as(f32, @floatFromInt(w.out));
    if (w.kind != .linear or final * elements < 1) return .{};
    return .{ .pattern = .elements, .sparsity = final };
}

pub fn decide(_: gsc.Weight, _: gsc.Declaration, moment: gsc.Moment) gsc.Decision {
    const step = moment.step;
    if (step < begin) return .{};
    const last = step - (step - begin) % every; // at which the share grew
    return .{ .prune = share(if (step >= end) end else last), .mask = step == end or (step < end and step == last) };
}

fn share(step: u64) f32 {
    if (step >= end) return final;
    const left = 1 - @as(f64, @floatFromInt(step - begin)) / @as(f64, @floatFromInt(end - begin));
    return @floatCast(final * (1 - left * left * left));
}

comptime {
    gsc.exportPolicy(@This());
}
