//! Transforms of records, as files hold them, before they are tokens.
const std = @import("std");
const plugin = @import("plugin.zig");
const Column = plugin.Column;
const Error = plugin.Error;

/// A tagged part of a record. Its places count from the record's beginning, and its name is a number for Record.name.
pub const Span = extern struct { from: u32, to: u32, name: u32 };

/// One record. What it points to belongs to gsc.
pub const Record = struct {
    /// Any bytes; none where records are token ids.
    text: []const u8 = &.{},
    /// None where records are text.
    ids: []const i32 = &.{},
    /// Its classes: numbers for name; none where the data have none.
    labels: []const u32,
    /// Labels that are numbers.
    numbers: []const f64,
    /// Its tagged words, which ascend and do not overlap.
    spans: []const Span,
    /// Says whether records of the data are token ids, and whether they have spans.
    holds_ids: bool,
    has_spans: bool,
    /// Of the run's seed, and of how many records this transform was given before.
    seed: u64,
    batch: *const Columns,

    /// The name of a label or a span.
    pub fn name(self: Record, number: u32) []const u8 {
        return self.batch.name(number);
    }
};

/// Records, as they lie in memory.
const Columns = extern struct {
    records: u32,
    content: ?[*]const u8,
    ends: ?[*]const u32,
    name_count: u32,
    names: ?[*]const u8,
    name_ends: ?[*]const u32,
    labels: ?[*]const u32,
    label_ends: ?[*]const u32,
    numbers: ?[*]const f64,
    number_ends: ?[*]const u32,
    spans: ?[*]const Span,
    span_ends: ?[*]const u32,

    fn name(self: *const Columns, i: u32) []const u8 {
        return of(u8, self.names, self.name_ends, i);
    }

    /// A record's content, in bytes.
    fn bytes(self: *const Columns, i: usize, unit: usize) []const u8 {
        const from = begins(self.ends.?, i);
        return plugin.part(u8, self.content, from * unit, (self.ends.?[i] - from) * unit);
    }
};

/// Where the i-th of those with these ends begins.
fn begins(ends: [*]const u32, i: usize) usize {
    return if (i == 0) 0 else ends[i - 1];
}

/// What belongs to the i-th of those whose ends are given; nothing, where these are not.
fn of(comptime T: type, list: ?[*]const T, ends: ?[*]const u32, i: usize) []const T {
    const e = ends orelse return &.{};
    const from = begins(e, i);
    return plugin.part(T, list, from, e[i] - from);
}

/// What comes out of a batch. As long as records are kept as they are, all that is written is which; with the first that is not, all columns are.
pub const Records = struct {
    batch: *const Columns = undefined,
    unit: usize = 1, // bytes of an element of content
    at: u32 = 0, // the record that is being transformed
    is_written: bool = false, // there are columns
    labelled: bool = false, // those of labels, too
    own_labels: bool = false, // the last record's are no longer those of what it is made of
    origins: Column(u32) = .{},
    content: Column(u8) = .{},
    ends: Column(u32) = .{},
    names: Column(u8) = .{},
    name_ends: Column(u32) = .{},
    labels: Column(u32) = .{},
    label_ends: Column(u32) = .{},
    numbers: Column(f64) = .{},
    number_ends: Column(u32) = .{},
    spans: Column(Span) = .{},
    span_ends: Column(u32) = .{},

    /// The record comes out as it is.
    pub fn keep(self: *Records) Error!void {
        if (self.is_written) try self.copy(self.at);
        try self.begin();
    }

    /// A record with this text comes out, with the labels of the one that it is made of, and without spans.
    pub fn text(self: *Records, bytes: []const u8) Error!void {
        try self.write();
        try self.content.add(bytes);
        try self.end();
        try self.begin();
    }

    /// A record of these token ids comes out, likewise.
    pub fn ids(self: *Records, list: []const i32) Error!void {
        try self.text(std.mem.sliceAsBytes(list));
    }

    /// Adds a class to the record that came out last, in place of those of the one that it is made of.
    pub fn label(self: *Records, class: []const u8) Error!void {
        try self.relabel();
        try self.labels.add(&.{try self.name(class)});
        self.label_ends.items[self.label_ends.items.len - 1] = @intCast(self.labels.items.len);
    }

    /// Adds a label that is a number to the record that came out last, likewise.
    pub fn number(self: *Records, value: f64) Error!void {
        try self.relabel();
        try self.numbers.add(&.{value});
        self.number_ends.items[self.number_ends.items.len - 1] = @intCast(self.numbers.items.len);
    }

    /// Adds a tagged part to the record that came out last, behind those that it has. A name is not empty.
    pub fn span(self: *Records, from: usize, to: usize, tag: []const u8) Error!void {
        try self.write();
        try self.spans.add(&.{.{ .from = @intCast(from), .to = @intCast(to), .name = try self.name(tag) }});
        self.span_ends.items[self.span_ends.items.len - 1] = @intCast(self.spans.items.len);
    }

    fn begin(self: *Records) Error!void {
        try self.origins.add(&.{self.at});
        if (self.labelled) try self.copyLabels(self.at);
        self.own_labels = false;
    }

    /// Makes columns of what came out so far.
    fn write(self: *Records) Error!void {
        if (self.is_written) return;
        self.is_written = true;
        for (0..self.batch.name_count) |i| try self.addName(self.batch.name(@intCast(i)));
        for (self.origins.items) |i| try self.copy(i);
    }

    /// Copies a record's content and spans.
    fn copy(self: *Records, i: u32) Error!void {
        try self.content.add(self.batch.bytes(i, self.unit));
        try self.spans.add(of(Span, self.batch.spans, self.batch.span_ends, i));
        try self.end();
    }

    /// Ends a record's content and spans.
    fn end(self: *Records) Error!void {
        try self.ends.add(&.{@intCast(self.content.items.len / self.unit)});
        try self.span_ends.add(&.{@intCast(self.spans.items.len)});
    }

    /// Makes columns of the labels so far, and takes away those that the last record has from elsewhere.
    fn relabel(self: *Records) Error!void {
        try self.write();
        if (!self.labelled) {
            self.labelled = true;
            for (self.origins.items) |i| try self.copyLabels(i);
        }
        if (self.own_labels) return;
        self.own_labels = true;
        self.labels.truncate(dropLast(self.label_ends.items));
        self.numbers.truncate(dropLast(self.number_ends.items));
    }

    fn copyLabels(self: *Records, i: u32) Error!void {
        try self.labels.add(of(u32, self.batch.labels, self.batch.label_ends, i));
        try self.label_ends.add(&.{@intCast(self.labels.items.len)});
        try self.numbers.add(of(f64, self.batch.numbers, self.batch.number_ends, i));
        try self.number_ends.add(&.{@intCast(self.numbers.items.len)});
    }

    /// The number of a name in the table, which has it from now on.
    fn name(self: *Records, wanted: []const u8) Error!u32 {
        var from: usize = 0;
        for (self.name_ends.items, 0..) |to, i| {
            if (std.mem.eql(u8, self.names.items[from..to], wanted)) return @intCast(i);
            from = to;
        }
        try self.addName(wanted);
        return @intCast(self.name_ends.items.len - 1);
    }

    fn addName(self: *Records, new: []const u8) Error!void {
        try self.names.add(new);
        try self.name_ends.add(&.{@intCast(self.names.items.len)});
    }

    /// Begins a batch.
    fn clear(self: *Records, call: *const Call) void {
        self.batch = &call.before;
        self.unit = call.unit;
        self.is_written = false;
        self.labelled = false;
        inline for (.{ "origins", "content", "ends", "names", "name_ends", "labels", "label_ends", "numbers", "number_ends", "spans", "span_ends" }) |column| @field(self, column).truncate(0);
    }

    /// Says in a call where columns lie.
    fn fill(self: *const Records, call: *Call) void {
        call.after.records = @intCast(self.origins.items.len);
        call.origins = self.origins.items.ptr;
        if (!self.is_written) return;
        const to = &call.after;
        to.name_count = @intCast(self.name_ends.items.len);
        inline for (.{ "content", "ends", "names", "name_ends" }) |column| @field(to, column) = @field(self, column).items.ptr;
        if (self.batch.span_ends != null or self.spans.items.len > 0) {
            inline for (.{ "spans", "span_ends" }) |column| @field(to, column) = @field(self, column).items.ptr;
        }
        if (self.labelled) {
            inline for (.{ "labels", "label_ends", "numbers", "number_ends" }) |column| @field(to, column) = @field(self, column).items.ptr;
        }
    }
};

/// Makes the last of those with these ends empty, and says where it begins.
fn dropLast(ends: []u32) usize {
    const from = begins(ends.ptr, ends.len - 1);
    ends[ends.len - 1] = @intCast(from);
    return from;
}

/// A batch, as it lies in memory.
const Call = extern struct {
    before: Columns,
    unit: u32,
    seeds: [*]const u64,
    after: Columns,
    origins: ?[*]const u32,
};

const id_bytes = 4;

/// Makes the declarations of a transform of records gsc's exports.
pub fn exportRecordTransform(comptime Transform: type) void {
    const m = Transform.manifest;
    const bytes = std.fmt.comptimePrint(", \"record_bytes\": {d}", .{m.record_bytes});
    plugin.exportCommon(Transform, "transform", plugin.member("on", "records") ++ plugin.member("order", @tagName(m.order)) ++ bytes);
    const exports = struct {
        var out = Records{};
        fn all(call: *Call) Error!void {
            out.clear(call);
            const in = &call.before;
            for (0..in.records) |i| {
                out.at = @intCast(i);
                var r = Record{
                    .labels = of(u32, in.labels, in.label_ends, i),
                    .numbers = of(f64, in.numbers, in.number_ends, i),
                    .spans = of(Span, in.spans, in.span_ends, i),
                    .holds_ids = call.unit == id_bytes,
                    .has_spans = in.span_ends != null,
                    .seed = call.seeds[i],
                    .batch = in,
                };
                const content = in.bytes(i, call.unit);
                if (r.holds_ids) r.ids = @alignCast(std.mem.bytesAsSlice(i32, content)) else r.text = content;
                try Transform.record(r, &out);
            }
            out.fill(call);
        }
        fn transform(call: *Call) callconv(.c) u32 {
            return plugin.status(all(call));
        }
    };
    @export(&exports.transform, .{ .name = "gsc_transform" });
}
