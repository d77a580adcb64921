const std = @import("std");
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "values", .version = "1", .params = "word: *\\\"by\\\" | string, by: *0.5 | number, halve: *true | bool, off: *false | bool, note: *\\\"<ü>\\\\t\\\\\\\"\\\" | string", .targets = .values, .inputs = &.{"teacher_logits"} };

var by: f32 = 0;

pub fn init(p: gsc.Params) bool {
    var room: [8]u8 = undefined;
    const note = p.text("note", &room) orelse return false;
    if (!std.mem.eql(u8, note, "<ü>\t\"") or p.text("note", room[0..5]) != null) return false;
    if (!std.mem.eql(u8, p.text("word", &room) orelse return false, "by")) return false;
    if (!(p.flag("halve") orelse false) or (p.flag("off") orelse true)) return false;
    if (p.flag("none") != null or p.text("none", &room) != null or p.number("none") != null) return false;
    by = @floatCast(p.number("by") orelse return false);
    return true;
}

pub fn row(r: gsc.Row) f32 {
    var sum: f32 = 0;
    for (r.logits, r.targets, r.inputs.get(0), 0..) |z, target, other, v| {
        const a = z - target;
        const b = z - other;
        sum += by * (a * a + b * b);
        if (r.gradient) |gradient| gradient[v] = a + b;
    }
    return sum;
}

comptime {
    gsc.exportLoss(@This());
}
