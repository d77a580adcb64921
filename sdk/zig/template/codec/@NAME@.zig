//! @NAME@ is a gradient codec for gsc: each number becomes one of 8 bits, with a scale for each block of them.
//!
//! Of a block with the largest magnitude m the scale is s = m/127, and a number x is sent as q = round(x/s), which stands for q·s: off by s/2 at most. Of B numbers' squares that is B/254² of m² at
//! most, so that a code leaves no more than 1024/254² < 0.02 of the squares out. A code is all scales, in 32 bits each, and then all q.
const std = @import("std");
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "@NAME@", .version = "0.1.0", .contraction = "0.98", .params = "block: *64 | int & >=1 & <=1024" };

var block: usize = 64;

/// Gets the parameters once.
pub fn init(params: gsc.Params) bool {
    block = @intFromFloat(params.number("block") orelse return false);
    return true;
}

/// How many scales n numbers have.
fn blocks(n: usize) usize {
    return (n + block - 1) / block;
}

pub fn codeBytes(n: usize) usize {
    return 4 * blocks(n) + n;
}

pub fn encode(values: []const f32, code: []u8) usize {
    const numbers = code[4 * blocks(values.len) ..];
    for (0..blocks(values.len)) |k| {
        const from = k * block;
        const x = values[from..@min(values.len, from + block)];
        var most: f32 = 0;
        for (x) |v| most = @max(most, @abs(v));
        const s = most / 127;
        std.mem.writeInt(u32, code[4 * k ..][0..4], @bitCast(s), .little);
        for (numbers[from..][0..x.len], x) |*q, v| {
            const rounded: i8 = if (s > 0) @intFromFloat(std.math.clamp(@round(v / s), -127, 127)) else 0;
            q.* = @bitCast(rounded);
        }
    }
    return code.len;
}

pub fn decode(code: []const u8, values: []f32) gsc.Error!void {
    if (code.len != codeBytes(values.len)) return error.BadInput;
    const numbers = code[4 * blocks(values.len) ..];
    for (0..blocks(values.len)) |k| {
        const from = k * block;
        const s: f32 = @bitCast(std.mem.readInt(u32, code[4 * k ..][0..4], .little));
        if (!std.math.isFinite(s * 128)) return error.BadInput;
        const x = values[from..@min(values.len, from + block)];
        for (x, numbers[from..][0..x.len]) |*v, q| v.* = @as(f32, @floatFromInt(@as(i8, @bitCast(q)))) * s;
    }
}

comptime {
    gsc.exportCodec(@This());
}
