//! Transforms of rows of tokens, at each step.
const plugin = @import("plugin.zig");

/// A row, which a transform changes where it stands. What it points to belongs to gsc; what pads it is not there.
pub const Tokens = struct {
    tokens: []i32,
    /// One for each token, or one for the row; none where labels are numbers.
    labels: []i32,
    /// As many as there are labels; none where all weigh 1, and the manifest does not say that the transform changes them.
    weights: []f32,
    /// One for each token; none where there are none.
    types: []i32,
    /// The document of each token, from 1; none where the row is one.
    segments: []const i32,
    /// Says that labels and weights are of tokens, not of the row.
    labels_tokens: bool,
    /// Tokens are below the first, labels below the second.
    vocabulary: u32,
    outputs: u32,
    /// The label that is not scored.
    ignore: i32,
    /// Of the run's seed, the step and the row of the global batch; in evaluation of the row of the split alone.
    seed: u64,
};

/// Rows, as they lie in memory.
const Call = extern struct {
    rows: u32,
    length: u32,
    vocabulary: u32,
    outputs: u32,
    ignore: i32,
    tokens: [*]i32,
    labels: ?[*]i32,
    labels_a_row: u32,
    weights: ?[*]f32,
    types: ?[*]i32,
    segments: ?[*]const i32,
    valid: [*]const u32,
    seeds: [*]const u64,
};

/// Makes the declarations of a transform of rows gsc's exports.
pub fn exportRowTransform(comptime Transform: type) void {
    const m = Transform.manifest;
    const labels_tokens = if (m.labels_tokens) plugin.member("labels", "tokens") else "";
    plugin.exportCommon(Transform, "transform", plugin.member("on", "rows") ++ plugin.flag("evaluates", m.evaluates) ++ labels_tokens ++ plugin.flag("weights", m.weights));
    const exports = struct {
        fn all(call: *const Call) plugin.Error!void {
            const length: usize = call.length;
            const labels: usize = call.labels_a_row;
            const weights: usize = @max(1, labels);
            for (0..call.rows) |i| {
                const valid: usize = call.valid[i];
                try Transform.row(.{
                    .tokens = (call.tokens + i * length)[0..valid],
                    .labels = plugin.written(i32, call.labels, i * labels, @min(valid, labels)),
                    .weights = plugin.written(f32, call.weights, i * weights, @min(valid, weights)),
                    .types = plugin.written(i32, call.types, i * length, valid),
                    .segments = plugin.part(i32, call.segments, i * length, valid),
                    .labels_tokens = labels == length,
                    .vocabulary = call.vocabulary,
                    .outputs = call.outputs,
                    .ignore = call.ignore,
                    .seed = call.seeds[i],
                });
            }
        }
        fn transform(call: *const Call) callconv(.c) u32 {
            return plugin.status(all(call));
        }
    };
    @export(&exports.transform, .{ .name = "gsc_transform" });
}
