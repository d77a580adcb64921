//! @NAME@ is a transform for gsc: texts lose the white space at both their ends, and those are left out that then are shorter than a few bytes.
const std = @import("std");
const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "@NAME@", .version = "0.1.0", .params = "bytes: *1 | int & >=0" };

var least: usize = 1;

/// Gets the parameters once.
pub fn init(params: gsc.Params) bool {
    least = @intFromFloat(params.number("bytes") orelse return false);
    return true;
}

/// Gives what becomes of a record.
pub fn record(r: gsc.Record, out: *gsc.Records) gsc.Error!void {
    if (r.holds_ids or r.has_spans) return error.BadInput; // ids are no text, and spans would have to move
    const text = std.mem.trim(u8, r.text, " \t\r\n");
    if (text.len >= least) try out.text(text);
}

comptime {
    gsc.exportRecordTransform(@This());
}
