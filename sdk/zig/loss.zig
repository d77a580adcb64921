//! Losses: of rows of logits, or of units of several rows.
const plugin = @import("plugin.zig");

/// One row of a loss. What it points to belongs to gsc.
pub const Row = struct {
    logits: []const f32,
    /// Of a loss over classes: an index of logits.
    label: usize = 0,
    /// Of a loss over values: one for each logit.
    targets: []const f32 = &.{},
    /// The row in each of the manifest's inputs.
    inputs: Inputs,
    /// Out: the derivative of the row's loss by its logits; null where none is asked for.
    gradient: ?[]f32,
};

/// The rows of a unit: of a record, or of two, the chosen one first. What it points to belongs to gsc.
pub const Unit = struct {
    /// How wide a row is.
    classes: usize,
    /// The rows of a sequence; a pair has twice as many.
    length: usize,
    /// Of each sequence: its rows up to the last that is scored. What follows only pads it.
    lengths: []const i32,
    /// Of each row: an index of its logits, or -1, where the row is not scored.
    labels: []const i32,
    /// One row behind the other.
    logits: []const f32,
    /// The unit in each of the manifest's inputs.
    inputs: Inputs,
    /// Out: the derivative of the unit's loss by its logits, 0 for rows that are not scored; null where none is asked for.
    gradient: ?[]f32,
};

/// The same part of each of a loss's inputs, as wide as the logits.
pub const Inputs = struct {
    tensors: ?[*]const [*]const f32,
    from: usize,
    n: usize,

    /// Of the i-th tensor that the manifest names.
    pub fn get(self: Inputs, i: usize) []const f32 {
        return (self.tensors.?[i] + self.from)[0..self.n];
    }
};

/// A chunk of units, as it lies in memory.
const Call = extern struct {
    rows: u32,
    classes: u32,
    logits: [*]const f32,
    targets: *const anyopaque,
    weights: ?[*]const f32,
    values: [*]f32,
    gradients: ?[*]f32,
    length: u32,
    lengths: ?[*]const i32,
    inputs: ?[*]const [*]const f32,

    fn gradient(call: *const Call, from: usize, n: usize) ?[]f32 {
        return if (call.gradients) |g| (g + from)[0..n] else null;
    }
};

/// The manifest's inputs, in JSON.
fn inputs(comptime names: []const []const u8) []const u8 {
    comptime var list: []const u8 = "";
    inline for (names, 0..) |name, i| list = list ++ (if (i > 0) ", \"" else "\"") ++ name ++ "\"";
    return if (names.len > 0) ", \"inputs\": [" ++ list ++ "]" else "";
}

/// Makes the declarations of a loss of rows gsc's exports.
pub fn exportLoss(comptime Loss: type) void {
    const m = Loss.manifest;
    plugin.exportCommon(Loss, "loss", plugin.member("targets", @tagName(m.targets)) ++ inputs(m.inputs));
    const exports = struct {
        fn loss(call: *const Call) callconv(.c) u32 {
            const n = call.classes;
            for (0..call.rows) |i| {
                var r = Row{ .logits = (call.logits + i * n)[0..n], .inputs = .{ .tensors = call.inputs, .from = i * n, .n = n }, .gradient = call.gradient(i * n, n) };
                switch (m.targets) {
                    .classes => r.label = @as([*]const u32, @ptrCast(@alignCast(call.targets)))[i],
                    .values => r.targets = (@as([*]const f32, @ptrCast(@alignCast(call.targets))) + i * n)[0..n],
                }
                call.values[i] = Loss.row(r);
            }
            return 0;
        }
    };
    @export(&exports.loss, .{ .name = "gsc_loss" });
}

/// Makes the declarations of a loss of units gsc's exports.
pub fn exportUnitLoss(comptime Loss: type) void {
    const m = Loss.manifest;
    plugin.exportCommon(Loss, "loss", plugin.member("targets", "classes") ++ plugin.member("unit", @tagName(m.unit)) ++ inputs(m.inputs));
    const sequences: usize = if (m.unit == .pairs) 2 else 1;
    const exports = struct {
        fn loss(call: *const Call) callconv(.c) u32 {
            const length: usize = call.length;
            const rows = sequences * length;
            const n = rows * call.classes;
            for (0..call.rows / rows) |i| {
                call.values[i] = Loss.unit(.{
                    .classes = call.classes,
                    .length = length,
                    .lengths = plugin.part(i32, call.lengths, i * sequences, sequences),
                    .labels = (@as([*]const i32, @ptrCast(@alignCast(call.targets))) + i * rows)[0..rows],
                    .logits = (call.logits + i * n)[0..n],
                    .inputs = .{ .tensors = call.inputs, .from = i * n, .n = n },
                    .gradient = call.gradient(i * n, n),
                });
            }
            return 0;
        }
    };
    @export(&exports.loss, .{ .name = "gsc_loss" });
}
