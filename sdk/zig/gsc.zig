//! For authors of plugins of gsc in Zig: gsc's package plugins/abi is what they are held to.
//!
//! A loss is a file that declares what it is and two functions, and has them exported:
//!
//!     const gsc = @import("gsc/gsc.zig");
//!     pub const manifest = gsc.Manifest{ .name = "mine", .version = "1.0.0", .targets = .classes };
//!     pub fn init(params: gsc.Params) bool { ... }
//!     pub fn row(r: gsc.Row) f32 { ... }
//!     comptime {
//!         gsc.exportLoss(@This());
//!     }
const std = @import("std");

/// What a plugin says of itself.
pub const Manifest = struct {
    /// Up to 64 letters, digits and _.-
    name: []const u8,
    version: []const u8,
    /// The fields of its parameters with their defaults, in CUE, such as "gamma: *2 | number & >=0", with each " in them written as \\\".
    params: []const u8 = "",
    targets: Targets,
};

/// What a loss compares logits with: a label for each row, or a number for each logit.
pub const Targets = enum { classes, values };

/// One row of a loss. What it points to belongs to gsc.
pub const Row = struct {
    logits: []const f32,
    /// Of a loss over classes: an index of logits.
    label: usize = 0,
    /// Of a loss over values: one for each logit.
    targets: []const f32 = &.{},
    /// Out: the derivative of the row's loss by its logits; null where none is asked for.
    gradient: ?[]f32,
};

/// What the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in.
pub const Params = struct {
    text: []const u8,

    /// A member that the schema says is a number; null where there is none by that name.
    pub fn number(self: Params, comptime name: []const u8) ?f64 {
        const key = "\"" ++ name ++ "\"";
        const found = std.mem.indexOf(u8, self.text, key) orelse return null;
        var words = std.mem.tokenizeAny(u8, self.text[found + key.len ..], " :,}");
        return std.fmt.parseFloat(f64, words.next() orelse return null) catch null;
    }
};

/// Room for so many floats, which is never freed; null when there is no more.
pub fn allocate(n: usize) ?[]f32 {
    const at = alloc(@intCast(n * @sizeOf(f32)));
    if (at == 0) return null;
    return @as([*]f32, @ptrFromInt(at))[0..n];
}

const page_bytes = 65536;
var next: u64 = 0; // what is free of the pages that were taken
var end: u64 = 0;

fn alloc(bytes: u32) callconv(.c) u32 {
    const size = (@as(u64, bytes) + 15) & ~@as(u64, 15);
    if (next + size > end) {
        const pages = (size + page_bytes - 1) / page_bytes;
        const page = @wasmMemoryGrow(0, @intCast(pages));
        if (page < 0) return 0;
        next = @as(u64, @intCast(page)) * page_bytes;
        end = next + pages * page_bytes;
    }
    defer next += size;
    return @intCast(next);
}

const ok: u32 = 0;
const bad_params: u32 = 1;

/// A chunk of rows, as it lies in memory.
const Call = extern struct {
    rows: u32,
    classes: u32,
    logits: [*]const f32,
    targets: *const anyopaque,
    weights: ?[*]const f32,
    values: [*]f32,
    gradients: ?[*]f32,
};

/// Makes the declarations of a loss gsc's exports.
pub fn exportLoss(comptime Loss: type) void {
    const m = Loss.manifest;
    const text = "{\"abi\": 1, \"kind\": \"loss\", \"name\": \"" ++ m.name ++ "\", \"version\": \"" ++ m.version ++
        "\", \"params\": \"" ++ m.params ++ "\", \"targets\": \"" ++ @tagName(m.targets) ++ "\"}";
    const exports = struct {
        fn describe() callconv(.c) u64 {
            return @as(u64, text.len) << 32 | @intFromPtr(text);
        }
        fn init(params: [*]const u8, length: u32) callconv(.c) u32 {
            return if (Loss.init(.{ .text = params[0..length] })) ok else bad_params;
        }
        fn loss(call: *const Call) callconv(.c) u32 {
            const n = call.classes;
            for (0..call.rows) |i| {
                var r = Row{ .logits = (call.logits + i * n)[0..n], .gradient = null };
                switch (m.targets) {
                    .classes => r.label = @as([*]const u32, @ptrCast(@alignCast(call.targets)))[i],
                    .values => r.targets = (@as([*]const f32, @ptrCast(@alignCast(call.targets))) + i * n)[0..n],
                }
                if (call.gradients) |g| r.gradient = (g + i * n)[0..n];
                call.values[i] = Loss.row(r);
            }
            return ok;
        }
    };
    @export(&exports.describe, .{ .name = "gsc_manifest" });
    @export(&alloc, .{ .name = "gsc_alloc" });
    @export(&exports.init, .{ .name = "gsc_init" });
    @export(&exports.loss, .{ .name = "gsc_loss" });
}

const Lanes = @Vector(4, f32);

// One instruction each, which @max and @min are not, since these do more about NaN.
inline fn larger(a: Lanes, b: Lanes) Lanes {
    return @select(f32, b > a, b, a);
}
inline fn smaller(a: Lanes, b: Lanes) Lanes {
    return @select(f32, b < a, b, a);
}

/// e^x for four x in [-87, 88], what is outside being moved to the nearest end: 2^n·e^r with n = round(x/ln 2), and the Taylor polynomial of degree 6, whose error for
/// |r| ≤ ln 2/2 is below 1.2e-7.
pub fn exp4(x0: Lanes) Lanes {
    const rounder: Lanes = @splat(12582912); // added to a small number it leaves no digits behind the point, and the whole number in the lowest bits
    const x = larger(@splat(-87), smaller(@splat(88), x0));
    const rounded = x * @as(Lanes, @splat(1.44269504)) + rounder;
    const n = rounded - rounder;
    const r = x - n * @as(Lanes, @splat(0.693359375)) + n * @as(Lanes, @splat(2.12194440e-4));
    var p: Lanes = @splat(1.0 / 720.0);
    inline for (.{ 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0 }) |c| p = p * r + @as(Lanes, @splat(c));
    const Bits = @Vector(4, u32);
    return @bitCast(@as(Bits, @bitCast(p)) +% (@as(Bits, @bitCast(rounded)) << @splat(23)));
}

/// e^x for one x, as exp4 computes it.
pub fn exp1(x: f32) f32 {
    return exp4(@splat(x))[0];
}

/// The largest of some numbers, of which there are any.
pub fn max(x: []const f32) f32 {
    var tops: Lanes = @splat(x[0]);
    var i: usize = 0;
    while (i + 4 <= x.len) : (i += 4) tops = larger(tops, x[i..][0..4].*);
    while (i < x.len) : (i += 1) tops = larger(tops, @splat(x[i]));
    return @reduce(.Max, tops);
}

/// Σ e^(x − shift), whose terms are written to e unless that is null. Runs of 512 are added up in four lanes, and these as doubles.
pub fn expSum(x: []const f32, shift: f32, e: ?[]f32) f64 {
    const by: Lanes = @splat(shift);
    var total: f64 = 0;
    var i: usize = 0;
    while (i + 4 <= x.len) {
        const last = @min(i + 512, x.len);
        var sums: Lanes = @splat(0);
        while (i + 4 <= last) : (i += 4) {
            const terms = exp4(@as(Lanes, x[i..][0..4].*) - by);
            if (e) |to| to[i..][0..4].* = terms;
            sums += terms;
        }
        inline for (0..4) |lane| total += sums[lane];
    }
    while (i < x.len) : (i += 1) {
        const term = exp1(x[i] - shift);
        if (e) |to| to[i] = term;
        total += term;
    }
    return total;
}

/// log Σ e^z; p, unless that is null, is set to e^z / Σ e^z.
pub fn softmax(z: []const f32, p: ?[]f32) f64 {
    const top = max(z);
    const total = expSum(z, top, p);
    if (p) |to| {
        const share: f32 = @floatCast(1 / total);
        for (to) |*v| v.* *= share;
    }
    return @log(total) + top;
}
