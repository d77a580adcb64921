const gsc = @import("gsc/gsc.zig");

pub const manifest = gsc.Manifest{ .name = "rows", .version = "1", .evaluates = true, .labels_tokens = true, .weights = true };

pub fn init(_: gsc.Params) bool {
    return true;
}

pub fn row(r: gsc.Tokens) gsc.Error!void {
    const vocabulary: i32 = @intCast(r.vocabulary);
    for (r.tokens, 0..) |*token, i| {
        if (r.segments.len > 0) token.* += r.segments[i];
        if (r.types.len > 0) token.* += r.types[i];
        token.* = @mod(token.*, vocabulary);
    }
    for (r.types, 0..) |*kind, i| kind.* = @intCast(i % 2);
    for (r.weights) |*weight| weight.* *= 0.5;
    for (r.labels) |*label| {
        label.* = if (label.* == r.ignore) 0 else @mod(label.* + @intFromBool(r.labels_tokens), @as(i32, @intCast(r.outputs)));
    }
    if (r.tokens.len > 0) r.tokens[0] = @intCast(r.seed % r.vocabulary);
}

comptime {
    gsc.exportRowTransform(@This());
}
